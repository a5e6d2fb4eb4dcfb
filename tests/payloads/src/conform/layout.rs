//! Where the TD's unlisted memory is, and who takes what of it.
//!
//! ```text
//! +0      2 MiB: pages of 4 KiB, 16 for each leaf number
//! +2 MiB  three pieces of 2 MiB: two for rows, the last to find out what the VMM gives
//! ```

use abi::{PAGE_SIZE, PageLevel};
use conformance::UNLISTED_START;

const LARGE: u64 = PageLevel::Size2M.bytes();

/// The piece that [`super::World`] accepts to see the size of the VMM's pages.
pub(crate) const PROBE: u8 = 2;

/// A page of 4 KiB.
pub(crate) const fn small(index: u16) -> u64 {
    UNLISTED_START + index as u64 * PAGE_SIZE
}

/// 2 MiB.
pub(crate) const fn large(index: u8) -> u64 {
    UNLISTED_START + (1 + index as u64) * LARGE
}

const _: () = assert!(UNLISTED_START.is_multiple_of(LARGE));
const _: () = assert!(large(PROBE) + LARGE == UNLISTED_START + conformance::UNLISTED_BYTES);

/// The `index`-th small page of a leaf.
pub(crate) const fn page_of(leaf: u64, index: u16) -> u16 {
    assert!(leaf < 32 && index < 16, "a leaf has 16 pages");
    leaf as u16 * 16 + index
}
