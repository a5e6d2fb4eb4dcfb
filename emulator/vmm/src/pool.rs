//! The pages that the trust domain gets, and the pages that the VMM keeps for it.
//!
//! ```text
//! range:   [ 4 KiB pages given →        ← 2 MiB pages given ]      own: [ VMM's pages → ]
//! ```
//!
//! Nothing is ever put back while the TD lives, so that what was given away is all
//! that lies outside the two cursors; the teardown walks exactly that.

use abi::{Hpa, PAGE_SIZE, PageLevel};

use crate::ram::{Range, Ranges};
use crate::tdmr::MAX_RANGES;

/// Bytes that the VMM keeps for the shared half of the TD: tables and pages.
pub const OWN_BYTES: u64 = 8 << 20;

/// A range with its two cursors.
#[derive(Clone, Copy, Debug)]
struct Part {
    whole: Range,
    /// 4 KiB pages below are given.
    low: u64,
    /// 2 MiB pages from here up to [`Self::large_end`] are given.
    high: u64,
}

const LARGE: u64 = PageLevel::Size2M.bytes();

impl Part {
    const EMPTY: Self = Self { whole: Range::new(0, 0), low: 0, high: 0 };

    fn new(whole: Range) -> Self {
        Self { whole, low: whole.start, high: Self::large_end(whole) }
    }

    /// The end of the last whole 2 MiB page, or the start if there is none.
    fn large_end(whole: Range) -> u64 {
        (whole.end & !(LARGE - 1)).max(whole.start)
    }

    /// Memory above the last 2 MiB boundary serves as small pages only when no large
    /// page was taken; this is the end of the small pages.
    fn small_end(&self) -> u64 {
        if self.high == Self::large_end(self.whole) { self.whole.end } else { self.high }
    }
}

/// Pages to give to a TD, and pages to keep.
#[derive(Clone, Debug)]
pub struct Pool {
    parts: [Part; MAX_RANGES],
    len: usize,
    own: Range,
}

impl Pool {
    /// A pool of `memory`, which the TDMRs cover. `None` if it does not even hold the
    /// VMM's own share.
    #[must_use]
    pub fn new(mut memory: Ranges<MAX_RANGES>) -> Option<Self> {
        let own = memory.take_highest(OWN_BYTES, PAGE_SIZE, u64::MAX)?;
        let mut parts = [Part::EMPTY; MAX_RANGES];
        for (part, range) in parts.iter_mut().zip(memory.as_slice()) {
            *part = Part::new(*range);
        }
        Some(Self { parts, len: memory.as_slice().len(), own })
    }

    /// A page to give away.
    pub fn small(&mut self) -> Option<Hpa> {
        for part in &mut self.parts[..self.len] {
            if part.small_end().saturating_sub(part.low) >= PAGE_SIZE {
                let page = Hpa::try_new(part.low).ok()?;
                part.low += PAGE_SIZE;
                return Some(page);
            }
        }
        None
    }

    /// A 2 MiB page to give away.
    pub fn large(&mut self) -> Option<Hpa> {
        for part in self.parts[..self.len].iter_mut().rev() {
            let clear = part.low <= Part::large_end(part.whole);
            if clear && part.high.saturating_sub(part.low) >= LARGE {
                part.high -= LARGE;
                return Hpa::try_new(part.high).ok();
            }
        }
        None
    }

    /// A page for the VMM's own use, content unknown.
    pub fn own(&mut self) -> Option<Hpa> {
        if self.own.is_empty() {
            return None;
        }
        let page = Hpa::try_new(self.own.start).ok()?;
        self.own.start += PAGE_SIZE;
        Some(page)
    }

    /// Every page that was taken to be given away, in the order of addresses.
    pub fn given(&self) -> impl Iterator<Item = (Hpa, PageLevel)> + '_ {
        self.parts[..self.len].iter().flat_map(|part| {
            let small = pages(part.whole.start, part.low, PageLevel::Size4K);
            small.chain(pages(part.high, Part::large_end(part.whole), PageLevel::Size2M))
        })
    }
}

/// The pages of `[start, end)`.
fn pages(start: u64, end: u64, level: PageLevel) -> impl Iterator<Item = (Hpa, PageLevel)> {
    let count = end.saturating_sub(start) / level.bytes();
    (0..count).filter_map(move |index| {
        Hpa::try_new(start + index * level.bytes()).ok().map(|page| (page, level))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn pool(pieces: &[(u64, u64)]) -> Pool {
        let mut memory = Ranges::new();
        memory.insert(1 << 40, OWN_BYTES);
        for (base, size) in pieces {
            memory.insert(*base, *size);
        }
        Pool::new(memory).unwrap()
    }

    #[test]
    fn a_pool_needs_the_vmms_own_share() {
        let mut memory = Ranges::new();
        memory.insert(0, OWN_BYTES - PAGE_SIZE);
        assert!(Pool::new(memory).is_none());
    }

    #[test]
    fn own_pages_end() {
        let mut pool = pool(&[(0, 0x1000)]);
        for _ in 0..OWN_BYTES / PAGE_SIZE {
            assert!(pool.own().is_some());
        }
        assert_eq!(pool.own(), None);
        assert_eq!(pool.given().count(), 0);
    }

    proptest! {
        #[test]
        fn pages_are_given_once_and_all_are_listed(
            pieces in prop::collection::vec((0..64_u64, 1..3000_u64), 1..4),
            wants in prop::collection::vec(any::<bool>(), 0..200),
        ) {
            let pieces: Vec<_> =
                pieces.iter().map(|(at, pages)| (at << 24, pages * PAGE_SIZE)).collect();
            let mut pool = pool(&pieces);
            let mut given = Vec::new();
            for large in wants {
                let level = if large { PageLevel::Size2M } else { PageLevel::Size4K };
                let page = if large { pool.large() } else { pool.small() };
                if let Some(page) = page {
                    prop_assert!(page.is_aligned_to(level.bytes()));
                    given.push((page.bits(), level.bytes()));
                }
            }
            given.sort_unstable();
            prop_assert!(given.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
            let mut listed: Vec<_> =
                pool.given().map(|(page, level)| (page.bits(), level.bytes())).collect();
            listed.sort_unstable();
            prop_assert_eq!(given, listed);
        }
    }
}
