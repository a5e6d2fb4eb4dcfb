//! What the specification documents: leaf by leaf, every status and when it comes.

mod exits;
mod guest;
mod host;
pub mod injected;

pub use exits::EXITS;
pub use guest::GUEST;
pub use host::HOST;

use abi::Status;

use crate::Side;

/// [`Leaf::number`] of the row for all numbers that no other row has.
pub const OTHER_LEAVES: u16 = u16::MAX;

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

impl Documented {
    /// A status that a test must see.
    #[must_use]
    pub const fn seen(status: Status, when: &'static str) -> Self {
        Self { status, when, unreachable: None }
    }

    /// A status that no test can see, and why.
    #[must_use]
    pub const fn unseen(status: Status, when: &'static str, why: &'static str) -> Self {
        Self { status, when, unreachable: Some(why) }
    }
}

/// A way out of the TD that a leaf can take instead of, or before, a status.
#[derive(Clone, Copy, Debug)]
pub struct Exit {
    /// The leaves.
    pub leaves: &'static str,
    /// What the VMM sees.
    pub exit: &'static str,
    /// When it comes, in words.
    pub when: &'static str,
    /// What comes of it.
    pub then: &'static str,
    /// The test that sees it, or why there is none.
    pub seen: Result<&'static str, &'static str>,
}
