//! Ranges of host-physical memory: what there is, what is taken, what is left.
//!
//! Ranges come from a memory map that somebody else wrote, so they may overlap, wrap
//! or be odd; [`Ranges::insert`] takes them as they are and keeps whole pages below
//! 2^52, sorted and disjoint.

use core::fmt;

use abi::PAGE_SIZE;

/// No host-physical address reaches this.
const ADDRESS_END: u64 = 1 << 52;

/// `[start, end)`, not empty.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// First byte after it.
    pub end: u64,
}

impl Range {
    /// `[start, end)`.
    #[must_use]
    pub const fn new(start: u64, end: u64) -> Self {
        Self { start, end }
    }

    /// Number of bytes.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there is no byte in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// Whether `address` lies in it.
    #[must_use]
    pub const fn contains(self, address: u64) -> bool {
        self.start <= address && address < self.end
    }

    /// The common part, which may be empty.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self { start: self.start.max(other.start), end: self.end.min(other.end) }
    }
}

impl fmt::Debug for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:#x}, {:#x})", self.start, self.end)
    }
}

/// Up to `N` ranges of whole pages, sorted, disjoint and not touching.
///
/// When there is no room for a piece, the smallest one is dropped: memory that is
/// forgotten is never used, so the set only errs on the safe side.
#[derive(Clone)]
pub struct Ranges<const N: usize> {
    items: [Range; N],
    len: usize,
}

impl<const N: usize> Ranges<N> {
    /// No range.
    #[must_use]
    pub const fn new() -> Self {
        Self { items: [Range::new(0, 0); N], len: 0 }
    }

    /// The ranges in address order.
    #[must_use]
    pub fn as_slice(&self) -> &[Range] {
        &self.items[..self.len]
    }

    /// Number of bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.as_slice().iter().map(|range| range.len()).sum()
    }

    /// Adds the whole pages of `[base, base + size)`.
    pub fn insert(&mut self, base: u64, size: u64) {
        let end = base.saturating_add(size).min(ADDRESS_END);
        let start = base.min(ADDRESS_END).next_multiple_of(PAGE_SIZE);
        let mut new = Range::new(start, end & !(PAGE_SIZE - 1));
        if new.is_empty() {
            return;
        }
        let old = core::mem::take(self);
        for range in old.as_slice() {
            if range.start <= new.end && new.start <= range.end {
                new = Range::new(range.start.min(new.start), range.end.max(new.end));
            } else {
                self.push(*range);
            }
        }
        self.push(new);
    }

    /// Takes every page that `[start, end)` touches out of the set.
    pub fn remove(&mut self, gone: Range) {
        if gone.is_empty() {
            return;
        }
        let start = gone.start & !(PAGE_SIZE - 1);
        let end = gone.end.min(ADDRESS_END).next_multiple_of(PAGE_SIZE);
        let old = core::mem::take(self);
        for range in old.as_slice() {
            self.push(Range::new(range.start, range.end.min(start)));
            self.push(Range::new(range.start.max(end), range.end));
        }
    }

    /// Keeps only what is also in `other`.
    pub fn intersect(&mut self, other: &[Range]) {
        let old = core::mem::take(self);
        for range in old.as_slice() {
            for kept in other {
                let part = range.intersection(*kept);
                self.insert(part.start, part.len());
            }
        }
    }

    /// Takes `size` bytes, aligned to `alignment`, from the highest place below
    /// `limit` that has them. Both are multiples of the page size, `alignment` a power
    /// of two.
    pub fn take_highest(&mut self, size: u64, alignment: u64, limit: u64) -> Option<Range> {
        let fits = |range: &Range| {
            let start = range.end.min(limit).checked_sub(size)? & !(alignment - 1);
            (start >= range.start).then_some(Range::new(start, start + size))
        };
        let found = self.as_slice().iter().rev().find_map(fits)?;
        self.remove(found);
        Some(found)
    }

    /// Puts a range in its place; the smallest one goes when there is no room.
    fn push(&mut self, range: Range) {
        if range.is_empty() {
            return;
        }
        if self.len == N {
            let smallest = (0..N).min_by_key(|index| self.items[*index].len());
            match smallest {
                Some(index) if self.items[index].len() < range.len() => {
                    self.items.copy_within(index + 1.., index);
                    self.len -= 1;
                }
                _ => return,
            }
        }
        let at = self.as_slice().partition_point(|other| other.start < range.start);
        self.items.copy_within(at..self.len, at + 1);
        self.items[at] = range;
        self.len += 1;
    }
}

impl<const N: usize> Default for Ranges<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Debug for Ranges<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    fn ranges(pieces: &[(u64, u64)]) -> Ranges<16> {
        let mut ranges = Ranges::new();
        for (base, size) in pieces {
            ranges.insert(*base, *size);
        }
        ranges
    }

    #[test]
    fn only_whole_pages_count() {
        assert_eq!(ranges(&[(1, 0x2FFF)]).as_slice(), [Range::new(0x1000, 0x3000)]);
        assert_eq!(ranges(&[(1, 0xFFF), (0x5000, 0xFFF)]).as_slice(), []);
    }

    #[test]
    fn a_range_that_wraps_ends_with_the_address_space() {
        let wrapping = ranges(&[((1 << 52) - 0x1000, u64::MAX)]);
        assert_eq!(wrapping.as_slice(), [Range::new((1 << 52) - 0x1000, 1 << 52)]);
        assert_eq!(ranges(&[(u64::MAX, u64::MAX), (1 << 60, 0x1000)]).as_slice(), []);
    }

    #[test]
    fn memory_is_taken_from_the_top_below_the_limit() {
        let mut memory = ranges(&[(0, 0x10_0000), (0x40_0000, 0x60_0000)]);
        let taken = memory.take_highest(0x1000, 0x20_0000, 0x80_0000);
        assert_eq!(taken, Some(Range::new(0x60_0000, 0x60_1000)));
        assert_eq!(memory.take_highest(0x20_0000, 0x1000, 0x20_0000), None);
        assert_eq!(memory.bytes(), 0x70_0000 - 0x1000);
    }

    #[test]
    fn without_room_the_smallest_range_is_forgotten() {
        let mut memory = Ranges::<2>::new();
        memory.insert(0, 0x1000);
        memory.insert(0x10_0000, 0x3000);
        memory.insert(0x20_0000, 0x2000);
        let kept = [Range::new(0x10_0000, 0x10_3000), Range::new(0x20_0000, 0x20_2000)];
        assert_eq!(memory.as_slice(), kept);
    }

    /// Page numbers below 32, one range an element.
    fn pieces() -> impl Strategy<Value = Vec<(u64, u64)>> {
        prop::collection::vec((0..32_u64, 0..8_u64), 0..6)
    }

    proptest! {
        #[test]
        fn the_set_is_the_set_of_its_pages(
            add in pieces(), gone in pieces(), kept in pieces()
        ) {
            let mut set = Ranges::<64>::new();
            let mut model = BTreeSet::new();
            for (first, count) in &add {
                set.insert(first * PAGE_SIZE, count * PAGE_SIZE);
                model.extend(*first..first + count);
            }
            for (first, count) in &gone {
                set.remove(Range::new(first * PAGE_SIZE, (first + count) * PAGE_SIZE));
                model.retain(|page| !(*first..first + count).contains(page));
            }
            let mask = ranges(&kept.iter().map(|(f, c)| (f * 4096, c * 4096)).collect::<Vec<_>>());
            set.intersect(mask.as_slice());
            model.retain(|page| kept.iter().any(|(f, c)| (*f..f + c).contains(page)));
            let pages: BTreeSet<u64> = set
                .as_slice()
                .iter()
                .flat_map(|range| range.start / PAGE_SIZE..range.end / PAGE_SIZE)
                .collect();
            prop_assert_eq!(pages, model);
            prop_assert!(set.as_slice().windows(2).all(|pair| pair[0].end <= pair[1].start));
        }
    }
}
