//! Checks of TDX leaves as data.
//!
//! A program in a TD (`tests/payloads`, over TDCALL) or in place of the VMM
//! (`tests/hosts`, over SEAMCALL) runs tables of [`Check`]s with [`check()`] and prints one
//! [`Line`] each. The tests on the host read the lines back, compare them with what the
//! specification documents ([`documented`]) and write `docs/coverage.md` from both.
#![cfg_attr(not(test), no_std)]

mod check;
pub mod documented;
mod line;

pub use check::{Check, Failure, Value, check, raised};
pub use line::{Failed, Line, Side};

/// First byte of RAM that the TD HOB does not list, in the boots of guest checks: the VMM
/// adds pages there when the TD comes for them.
pub const UNLISTED_START: u64 = 12 << 20;
/// How much of it there is.
pub const UNLISTED_BYTES: u64 = 8 << 20;
