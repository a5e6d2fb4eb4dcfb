//! What a leaf says about the entry where its walk ended. [ABI-H 7.1]

use tdcall::host::{LeafError, SeptEntry};

/// Public states.
pub(super) const FREE: u8 = 0;
const BLOCKED: u8 = 1;
const PENDING: u8 = 2;
const PENDING_BLOCKED: u8 = 3;
const MAPPED: u8 = 4;

/// The entry in the registers of a failed leaf.
pub(crate) const fn found(error: &LeafError) -> SeptEntry {
    SeptEntry::from_regs(error.rcx, error.rdx)
}

/// The entry holds a page, whether the TD can use it or not.
pub(super) const fn is_page(entry: SeptEntry) -> bool {
    matches!(entry.state, BLOCKED | PENDING | PENDING_BLOCKED | MAPPED)
}

/// The entry holds a page that is blocked.
pub(crate) const fn is_blocked(entry: SeptEntry) -> bool {
    matches!(entry.state, BLOCKED | PENDING_BLOCKED)
}
