//! What the specification documents: leaf by leaf, every status and when it comes.

mod guest;
mod host;
pub mod injected;

pub use guest::GUEST;
pub use host::HOST;

use abi::Status;

use crate::Side;

/// A leaf and its statuses.
#[derive(Clone, Copy, Debug)]
pub struct Leaf {
    /// Whose leaf it is.
    pub side: Side,
    /// RAX bits 15:0.
    pub number: u16,
    /// Its name in the specification.
    pub name: &'static str,
    /// Where it is specified.
    pub source: &'static str,
    /// The statuses that it can give, in the order of its checks.
    pub statuses: &'static [Documented],
}

/// One status of a leaf.
#[derive(Clone, Copy, Debug)]
pub struct Documented {
    /// The status with its detail.
    pub status: Status,
    /// When it comes, in words.
    pub when: &'static str,
    /// Why no test can reach it; `None` if one must.
    pub unreachable: Option<&'static str>,
}
