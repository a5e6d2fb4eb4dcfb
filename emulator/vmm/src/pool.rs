//! The pages that the trust domain gets, and the pages that the VMM keeps for it.
//!
//! ```text
//! range:   [ 4 KiB pages →        ← 2 MiB pages ]      lists: free 4 KiB pages, free 2 MiB pages
//! ```
//!
//! Private pages, shared pages and tables all come from here. A page that comes back is
//! linked into a list through its first word, and is the first to be taken again; a free 2 MiB page
//! serves as small ones when nothing else is left. What was ever taken is all that lies outside
//! the two cursors: the teardown walks exactly that. How many pages the module must have is
//! counted, so that the teardown can say whether one is missing.

use abi::{Hpa, PAGE_SIZE, PageLevel};

use crate::ram::{Range, Ranges};
use crate::seam::Memory;
use crate::tdmr::MAX_RANGES;

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

/// Free pages of one size, each with the address of the next in its first word; 0 ends the list.
#[derive(Clone, Copy, Debug, Default)]
struct List {
    head: u64,
}

impl List {
    fn push(&mut self, memory: &mut dyn Memory, page: Hpa) {
        memory.write_u64(page, self.head);
        self.head = page.bits();
    }

    fn pop(&mut self, memory: &mut dyn Memory) -> Option<Hpa> {
        let page = Hpa::try_new(self.head).ok().filter(|page| page.bits() != 0)?;
        self.head = memory.read_u64(page);
        memory.write_u64(page, 0);
        Some(page)
    }
}

/// Pages to give to a TD, and pages to keep.
#[derive(Clone, Debug)]
pub struct Pool {
    parts: [Part; MAX_RANGES],
    len: usize,
    small: List,
    large: List,
    /// 4 KiB pages that are with the module.
    given: u64,
}

impl Pool {
    /// A pool of `memory`, which the TDMRs cover. Page 0 is not used: it ends the lists.
    #[must_use]
    pub fn new(mut memory: Ranges<MAX_RANGES>) -> Self {
        memory.remove(Range::new(0, PAGE_SIZE));
        let mut parts = [Part::EMPTY; MAX_RANGES];
        for (part, range) in parts.iter_mut().zip(memory.as_slice()) {
            *part = Part::new(*range);
        }
        let len = memory.as_slice().len();
        Self { parts, len, small: List::default(), large: List::default(), given: 0 }
    }

    /// A page to give away.
    pub fn small(&mut self, memory: &mut dyn Memory) -> Option<Hpa> {
        let page = self.own(memory)?;
        self.given += 1;
        Some(page)
    }

    /// A 2 MiB page to give away.
    pub fn large(&mut self, memory: &mut dyn Memory) -> Option<Hpa> {
        let page = self.large.pop(memory).or_else(|| self.new_large())?;
        self.given += LARGE / PAGE_SIZE;
        Some(page)
    }

    /// A page for the VMM's own use, content unknown.
    pub fn own(&mut self, memory: &mut dyn Memory) -> Option<Hpa> {
        let page = self.small.pop(memory).or_else(|| self.new_small());
        page.or_else(|| self.split(memory))
    }

    /// Takes a page back that the module has given up, or never took.
    pub fn give_back(&mut self, memory: &mut dyn Memory, page: Hpa, level: PageLevel) {
        self.given = self.given.saturating_sub(level.bytes() / PAGE_SIZE);
        let list = if level == PageLevel::Size4K { &mut self.small } else { &mut self.large };
        list.push(memory, page);
    }

    /// Takes a page of [`Self::own`] back.
    pub fn disown(&mut self, memory: &mut dyn Memory, page: Hpa) {
        self.small.push(memory, page);
    }

    /// 4 KiB pages that are with the module.
    #[must_use]
    pub const fn given(&self) -> u64 {
        self.given
    }

    /// Every page that was ever taken, in the order of addresses, and as it was taken first.
    pub fn taken(&self) -> impl Iterator<Item = (Hpa, PageLevel)> + '_ {
        self.parts[..self.len].iter().flat_map(|part| {
            let small = pages(part.whole.start, part.low, PageLevel::Size4K);
            small.chain(pages(part.high, Part::large_end(part.whole), PageLevel::Size2M))
        })
    }

    /// What was never taken.
    pub fn never_taken(&self) -> impl Iterator<Item = Range> + '_ {
        self.parts[..self.len].iter().flat_map(|part| {
            let end = Part::large_end(part.whole).max(part.low);
            // Above the last 2 MiB boundary.
            let rest = Range::new(end, part.whole.end);
            [Range::new(part.low, part.high.max(part.low)), rest]
        })
    }

    fn new_small(&mut self) -> Option<Hpa> {
        for part in &mut self.parts[..self.len] {
            if part.small_end().saturating_sub(part.low) >= PAGE_SIZE {
                let page = Hpa::try_new(part.low).ok()?;
                part.low += PAGE_SIZE;
                return Some(page);
            }
        }
        None
    }

    fn new_large(&mut self) -> Option<Hpa> {
        for part in self.parts[..self.len].iter_mut().rev() {
            let clear = part.low <= Part::large_end(part.whole);
            if clear && part.high.saturating_sub(part.low) >= LARGE {
                part.high -= LARGE;
                return Hpa::try_new(part.high).ok();
            }
        }
        None
    }

    /// A free 2 MiB page becomes small ones, the first of which is the answer.
    fn split(&mut self, memory: &mut dyn Memory) -> Option<Hpa> {
        let first = self.large.pop(memory)?;
        let rest = pages(first.bits() + PAGE_SIZE, first.bits() + LARGE, PageLevel::Size4K);
        rest.for_each(|(page, _)| self.small.push(memory, page));
        Some(first)
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
    use crate::fakes::FakeMemory;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn pool(pieces: &[(u64, u64)]) -> Pool {
        let mut memory = Ranges::new();
        for (base, size) in pieces {
            memory.insert(*base, *size);
        }
        Pool::new(memory)
    }

    #[test]
    fn a_free_large_page_serves_as_small_ones() {
        let (mut memory, mut pool) = (FakeMemory::new(), pool(&[(LARGE, LARGE)]));
        let large = pool.large(&mut memory).unwrap();
        assert_eq!((pool.small(&mut memory), pool.given()), (None, 512));
        pool.give_back(&mut memory, large, PageLevel::Size2M);
        let small: Vec<_> = core::iter::from_fn(|| pool.small(&mut memory)).collect();
        assert_eq!((small.len(), pool.given()), (512, 512));
        assert!(small.iter().all(|page| (LARGE..2 * LARGE).contains(&page.bits())));
    }

    #[test]
    fn what_the_vmm_keeps_is_not_with_the_module() {
        let (mut memory, mut pool) = (FakeMemory::new(), pool(&[(0, 3 * PAGE_SIZE)]));
        let own = pool.own(&mut memory).unwrap();
        let given = pool.small(&mut memory).unwrap();
        assert_eq!((pool.given(), pool.own(&mut memory)), (1, None), "page 0 is not used");
        pool.disown(&mut memory, own);
        pool.give_back(&mut memory, given, PageLevel::Size4K);
        assert_eq!((pool.given(), pool.taken().count()), (0, 2));
    }

    /// What is done next.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Take(bool),
        GiveBack(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            any::<bool>().prop_map(Step::Take),
            any::<usize>().prop_map(Step::GiveBack)
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn no_page_is_with_two_owners_and_all_are_listed(
            pieces in prop::collection::vec((0..64_u64, 1..3000_u64), 1..4),
            steps in steps(),
        ) {
            let pieces: Vec<_> =
                pieces.iter().map(|(at, pages)| (at << 24, pages * PAGE_SIZE)).collect();
            let (mut memory, mut pool) = (FakeMemory::new(), pool(&pieces));
            let mut given: Vec<(u64, PageLevel)> = Vec::new();
            for step in steps {
                match step {
                    Step::Take(large) => {
                        let level = if large { PageLevel::Size2M } else { PageLevel::Size4K };
                        let page = if large { pool.large(&mut memory) } else { pool.small(&mut memory) };
                        if let Some(page) = page {
                            prop_assert!(page.is_aligned_to(level.bytes()));
                            given.push((page.bits(), level));
                        }
                    }
                    Step::GiveBack(index) if !given.is_empty() => {
                        let (page, level) = given.swap_remove(index % given.len());
                        pool.give_back(&mut memory, Hpa::new(page), level);
                    }
                    Step::GiveBack(_) => {}
                }
            }
            given.sort_unstable();
            let end = |(page, level): (u64, PageLevel)| page + level.bytes();
            prop_assert!(given.windows(2).all(|pair| end(pair[0]) <= pair[1].0));
            prop_assert_eq!(pool.given(), given.iter().map(|(_, level)| level.bytes() / PAGE_SIZE).sum::<u64>());
            let listed: Vec<_> =
                pool.taken().map(|(page, level)| (page.bits(), page.bits() + level.bytes())).collect();
            for page in given {
                prop_assert!(listed.iter().any(|(from, to)| *from <= page.0 && end(page) <= *to));
            }
        }
    }
}
