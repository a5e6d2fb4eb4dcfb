//! Which pages of a run of pages are in use.

use alloc::vec;
use alloc::vec::Vec;

/// One mark for each page.
#[derive(Debug)]
pub(super) struct Slots {
    is_used: Vec<bool>,
}

impl Slots {
    /// So many pages, all free.
    pub(super) fn new(pages: usize) -> Self {
        Self { is_used: vec![false; pages] }
    }

    /// How many.
    pub(super) fn pages(&self) -> usize {
        self.is_used.len()
    }

    /// How many are in use.
    pub(super) fn used(&self) -> usize {
        self.is_used.iter().filter(|is_used| **is_used).count()
    }

    /// Takes the first `pages` free pages in a row, at least one: the first page's number.
    pub(super) fn take(&mut self, pages: usize) -> Option<usize> {
        if pages == 0 {
            return None;
        }
        let first = self.is_used.windows(pages).position(|run| !run.contains(&true))?;
        self.is_used.get_mut(first..first + pages)?.fill(true);
        Some(first)
    }

    /// Whether all of `pages` pages, at least one, from `first` on are in use.
    pub(super) fn has(&self, first: usize, pages: usize) -> bool {
        let run = first.checked_add(pages).and_then(|end| self.is_used.get(first..end));
        run.is_some_and(|run| !run.is_empty() && !run.contains(&false))
    }

    /// Frees pages. False, and nothing is done, unless all of them are in use.
    pub(super) fn give_back(&mut self, first: usize, pages: usize) -> bool {
        let has = self.has(first, pages);
        if has {
            self.is_used[first..first + pages].fill(false);
        }
        has
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_given_out_once_and_come_back() {
        let mut slots = Slots::new(8);
        assert_eq!([3, 4, 2, 1].map(|pages| slots.take(pages)), [Some(0), Some(3), None, Some(7)]);
        assert_eq!(slots.take(1), None);
        assert!(slots.give_back(1, 3));
        assert_eq!(slots.used(), 5);
        assert_eq!(slots.take(4), None);
        assert_eq!(slots.take(3), Some(1));
    }

    #[test]
    fn what_is_not_in_use_does_not_come_back() {
        let mut slots = Slots::new(4);
        assert_eq!(slots.take(2), Some(0));
        for (first, pages) in [(0, 3), (1, 2), (2, 1), (0, 0), (3, 2), (usize::MAX, 2), (9, 1)] {
            assert!(!slots.give_back(first, pages), "{first} {pages}");
        }
        assert_eq!(slots.used(), 2);
        assert!(slots.give_back(0, 2));
        assert!(!slots.give_back(0, 2));
    }

    #[test]
    fn no_page_is_no_slot() {
        assert_eq!(Slots::new(4).take(0), None);
        assert_eq!(Slots::new(4).take(5), None);
        assert_eq!(Slots::new(4).take(usize::MAX), None);
    }
}
