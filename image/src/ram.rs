//! Ranges of guest memory, and how q35 lays out its RAM [TDVF 2.1].

use core::fmt;

/// From here on q35 puts the rest of the memory above 4 GiB.
const SPLIT_FROM: u64 = 0xB000_0000;
/// What stays below 4 GiB then.
const LOW_WHEN_SPLIT: u64 = 0x8000_0000;
/// Where the rest starts.
const HIGH_START: u64 = 0x1_0000_0000;

/// A range of guest-physical memory, not yet checked in any way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RamRange {
    /// The first byte.
    pub start: u64,
    /// The number of bytes.
    pub len: u64,
}

impl RamRange {
    /// The first byte after the range; `None` if that is past 2^64.
    pub const fn end(self) -> Option<u64> {
        self.start.checked_add(self.len)
    }

    /// Whether all of `inner` lies in this range. A range that wraps holds nothing.
    pub const fn contains(self, inner: Self) -> bool {
        match (self.end(), inner.end()) {
            (Some(end), Some(inner_end)) => self.start <= inner.start && inner_end <= end,
            _ => false,
        }
    }

    /// Whether the two have a byte in common. Ranges that wrap are taken to reach up to 2^64.
    pub const fn overlaps(self, other: Self) -> bool {
        let end = self.start.saturating_add(self.len);
        let other_end = other.start.saturating_add(other.len);
        self.len != 0 && other.len != 0 && self.start < other_end && other.start < end
    }
}

impl fmt::Display for RamRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:#x}, {:#x})", self.start, self.start.saturating_add(self.len))
    }
}

/// The RAM of a q35 machine: one range, or two around the hole below 4 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Q35Ram {
    ranges: [RamRange; 2],
    count: usize,
}

impl Q35Ram {
    /// The ranges, ascending.
    pub fn ranges(&self) -> &[RamRange] {
        &self.ranges[..self.count]
    }
}

/// Lays out `total` bytes of memory as QEMU's q35 machine does [TDVF 2.1].
///
/// Less than 2.75 GiB stays in one piece; of more, 2 GiB stay below 4 GiB.
pub const fn q35_ram(total: u64) -> Q35Ram {
    if total < SPLIT_FROM {
        let count = if total == 0 { 0 } else { 1 };
        let none = RamRange { start: 0, len: 0 };
        return Q35Ram { ranges: [RamRange { start: 0, len: total }, none], count };
    }
    let low = RamRange { start: 0, len: LOW_WHEN_SPLIT };
    let high = RamRange { start: HIGH_START, len: total - LOW_WHEN_SPLIT };
    Q35Ram { ranges: [low, high], count: 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn range(start: u64, len: u64) -> RamRange {
        RamRange { start, len }
    }

    #[test]
    fn memory_below_the_split_is_one_range() {
        assert_eq!(q35_ram(0).ranges(), []);
        assert_eq!(q35_ram(512 << 20).ranges(), [range(0, 0x2000_0000)]);
        assert_eq!(q35_ram(0xAFFF_F000).ranges(), [range(0, 0xAFFF_F000)]);
    }

    #[test]
    fn memory_from_the_split_on_leaves_two_gib_low() {
        assert_eq!(
            q35_ram(0xB000_0000).ranges(),
            [range(0, 0x8000_0000), range(0x1_0000_0000, 0x3000_0000)]
        );
        assert_eq!(
            q35_ram(4 << 30).ranges(),
            [range(0, 0x8000_0000), range(0x1_0000_0000, 0x8000_0000)]
        );
    }

    #[test]
    fn containment_and_overlap_hold_at_the_edges() {
        let a = range(0x1000, 0x2000);
        assert!(a.contains(a));
        assert!(a.contains(range(0x2000, 0x1000)));
        assert!(!a.contains(range(0x2000, 0x1001)));
        assert!(!a.contains(range(0xFFF, 1)));
        assert!(a.overlaps(range(0x2FFF, 1)));
        assert!(!a.overlaps(range(0x3000, 1)));
        assert!(!a.overlaps(range(0x2000, 0)));
    }

    #[test]
    fn a_range_that_wraps_has_no_end_and_lies_nowhere() {
        let wraps = range(u64::MAX, 2);
        assert_eq!(wraps.end(), None);
        assert!(!range(0, u64::MAX).contains(wraps));
        assert!(!wraps.contains(range(u64::MAX, 0)));
        assert!(range(u64::MAX - 1, 9).overlaps(range(u64::MAX - 1, 1)));
    }
}
