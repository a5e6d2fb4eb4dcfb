//! The memory of the trust domain: the VMM's word, checked, and what boot did with it.
//!
//! The TD HOB is an allegation [TDVF 2.4]. `image::hob` made sure that its ranges are
//! whole pages, private, and disjoint; here they are held against what is known without
//! the VMM: the sections of our own image. What the VMM added at build is ours alone, so
//! memory that it calls added must be ours, and memory that it calls unaccepted must not.

use core::fmt;

use image::hob::{HobList, Memory, ResourceRange};
use image::ram::RamRange;

/// The most ranges: as many resource items as an 8 KiB TD HOB holds [TDVF 2.1], and ours.
pub const MAX_RANGES: usize = 169 + OWN_RANGES;
/// TempMem, TD HOB, image.
const OWN_RANGES: usize = 3;

/// What a range is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Added before the trust domain ran: part of the image or of boot's memory.
    Own,
    /// Free memory. Up to this address boot accepted it: it is zero and private. The rest is
    /// to be accepted before use.
    Free {
        /// First byte that is not accepted, or the range's end.
        accepted_end: u64,
    },
}

/// A range of whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// First byte after it.
    pub end: u64,
    /// What it is.
    pub state: State,
}

/// Where every PC has devices and no VMM has RAM but the image's: from the window of the PCI
/// bus, over IOAPIC (0xFEC0_0000) and local APIC (0xFEE0_0000), up to 4 GiB. [TDVF 2.1]
///
/// Memory that a VMM lists there would have the addresses of devices, and a page of it,
/// accepted, would take a device's registers from us.
pub const DEVICES: RamRange = RamRange { start: 3 << 30, len: 1 << 30 };

/// Where the sections of our own image are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own {
    /// The image, up to 4 GiB.
    pub image: RamRange,
    /// Boot's stack and data.
    pub temp_mem: RamRange,
    /// The TD HOB.
    pub td_hob: RamRange,
}

/// All memory, ascending and disjoint.
#[derive(Clone, Debug)]
pub struct RamList {
    ranges: [Range; MAX_RANGES],
    len: usize,
}

impl RamList {
    /// No memory.
    #[must_use]
    #[expect(clippy::large_stack_arrays, reason = "evaluated into a static")]
    pub const fn new() -> Self {
        // An all-zero value, so that a static of it lies in .bss.
        let empty = Range { start: 0, end: 0, state: State::Own };
        Self { ranges: [empty; MAX_RANGES], len: 0 }
    }

    /// Takes the ranges of `list` and our own.
    ///
    /// # Errors
    /// A range contradicts what is ours, or there are too many.
    pub fn fill(&mut self, list: &HobList<'_>, own: &Own) -> Result<(), RamError> {
        for range in [own.image, own.temp_mem, own.td_hob] {
            self.insert(range, State::Own)?;
        }
        for ResourceRange { start, len, kind } in list.resources() {
            let range = RamRange { start, len };
            match kind {
                Memory::Accepted if own.covers(range) => {}
                Memory::Accepted => return Err(RamError::NotOurs(range)),
                Memory::Unaccepted if own.overlaps(range) => return Err(RamError::Overlap(range)),
                Memory::Unaccepted if range.overlaps(DEVICES) => {
                    return Err(RamError::Device(range));
                }
                Memory::Unaccepted => self.insert(range, State::Free { accepted_end: start })?,
            }
        }
        Ok(())
    }

    /// The ranges, ascending.
    #[must_use]
    pub fn ranges(&self) -> &[Range] {
        &self.ranges[..self.len]
    }

    /// The ranges, to change their state.
    pub fn ranges_mut(&mut self) -> &mut [Range] {
        &mut self.ranges[..self.len]
    }

    /// Bytes that are left to accept.
    #[must_use]
    pub fn unaccepted_bytes(&self) -> u64 {
        let left = |range: &Range| match range.state {
            State::Own => 0,
            State::Free { accepted_end } => range.end - accepted_end,
        };
        self.ranges().iter().map(left).sum()
    }

    /// First byte after the highest memory.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.ranges().last().map_or(0, |range| range.end)
    }

    fn insert(&mut self, range: RamRange, state: State) -> Result<(), RamError> {
        let new =
            Range { start: range.start, end: range.end().ok_or(RamError::Overlap(range))?, state };
        let at = self.ranges().partition_point(|other| other.start < new.start);
        let below = at.checked_sub(1).map_or(0, |below| self.ranges[below].end);
        let above = self.ranges().get(at).map_or(u64::MAX, |above| above.start);
        if new.start < below || above < new.end {
            return Err(RamError::Overlap(range));
        }
        if self.len == MAX_RANGES {
            return Err(RamError::TooMany);
        }
        self.ranges.copy_within(at..self.len, at + 1);
        self.ranges[at] = new;
        self.len += 1;
        Ok(())
    }
}

impl Default for RamList {
    fn default() -> Self {
        Self::new()
    }
}

impl Own {
    /// Whether a byte of `range` is ours.
    fn overlaps(&self, range: RamRange) -> bool {
        [self.image, self.temp_mem, self.td_hob].iter().any(|own| own.overlaps(range))
    }

    /// Whether every byte of `range` was added to RAM for us.
    fn covers(&self, range: RamRange) -> bool {
        let mut at = range.start;
        let end = range.start.saturating_add(range.len);
        while at < end {
            let byte = RamRange { start: at, len: 1 };
            let Some(section) =
                [self.temp_mem, self.td_hob].into_iter().find(|section| section.contains(byte))
            else {
                return false;
            };
            at = section.start + section.len;
        }
        true
    }
}

/// Why the memory is refused. The VMM is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the Display text of each variant is its documentation")]
pub enum RamError {
    Overlap(RamRange),
    Device(RamRange),
    NotOurs(RamRange),
    TooMany,
}

impl fmt::Display for RamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlap(range) => {
                write!(f, "unaccepted memory {range} overlaps the image or boot's own memory")
            }
            Self::Device(range) => {
                write!(f, "unaccepted memory {range} lies where devices are, in {DEVICES}")
            }
            Self::NotOurs(range) => {
                write!(f, "memory {range} is called added, but the image did not ask for it")
            }
            Self::TooMany => f.write_str("more memory ranges than boot can hold"),
        }
    }
}

impl core::error::Error for RamError {}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use image::hob::{Limit, parse};
    use image::layout::{TD_HOB, TEMP_MEM};
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{OWN, fill, filled, td_hob};

    const fn added(start: u64, len: u64) -> ResourceRange {
        ResourceRange { start, len, kind: Memory::Accepted }
    }

    const fn unaccepted(start: u64, len: u64) -> ResourceRange {
        ResourceRange { start, len, kind: Memory::Unaccepted }
    }

    #[test]
    fn the_list_that_qemu_writes_is_taken() {
        let ram = filled(&[
            unaccepted(0, 0x80_0000),
            added(TEMP_MEM.start, TEMP_MEM.len),
            added(TD_HOB.start, TD_HOB.len),
            unaccepted(0x81_2000, 0x4000_0000 - 0x81_2000),
        ])
        .unwrap();
        let free = |accepted_end| State::Free { accepted_end };
        let rows: Vec<_> = ram.ranges().iter().map(|r| (r.start, r.end, r.state)).collect();
        assert_eq!(
            rows,
            [
                (0, 0x80_0000, free(0)),
                (0x80_0000, 0x81_0000, State::Own),
                (0x81_0000, 0x81_2000, State::Own),
                (0x81_2000, 0x4000_0000, free(0x81_2000)),
                (0xFFE0_0000, 0x1_0000_0000, State::Own),
            ]
        );
        assert_eq!(ram.end(), 1 << 32);
    }

    #[test]
    fn the_order_of_the_list_does_not_matter() {
        let ram = filled(&[
            unaccepted(1 << 32, 0x1000),
            unaccepted(0x10_0000, 0x1000),
            added(TEMP_MEM.start, TEMP_MEM.len + TD_HOB.len),
        ])
        .unwrap();
        assert!(ram.ranges().is_sorted_by_key(|range| range.start));
        assert_eq!(ram.end(), (1 << 32) + 0x1000);
    }

    #[test]
    fn unaccepted_memory_over_our_own_is_refused() {
        for (start, len) in [
            (0x80_F000, 0x1000),
            (0x7F_F000, 0x2000),
            (0x81_1000, 0x2000),
            (0, 0x4000_0000),
            (0xFFFF_F000, 0x1000),
            (0xFFDF_F000, 0x2000),
        ] {
            let range = RamRange { start, len };
            assert_eq!(filled(&[unaccepted(start, len)]).unwrap_err(), RamError::Overlap(range));
        }
        assert!(filled(&[unaccepted(0x81_2000, 0x1000), unaccepted(0x7F_F000, 0x1000)]).is_ok());
    }

    #[test]
    fn memory_where_devices_are_is_refused() {
        for (start, len) in [
            (0xBFFF_F000, 0x2000),
            (0xC000_0000, 0x1000),
            (0xFEC0_0000, 0x1000),
            (0xFEE0_0000, 0x1000),
            (0xFFDF_F000, 0x1000),
        ] {
            let range = RamRange { start, len };
            assert_eq!(filled(&[unaccepted(start, len)]).unwrap_err(), RamError::Device(range));
        }
        assert!(filled(&[unaccepted(0xBFFF_F000, 0x1000), unaccepted(1 << 32, 0x1000)]).is_ok());
    }

    #[test]
    fn memory_above_four_gib_counts_up_to_where_shared_memory_starts() {
        let high = (1 << 47) - 0x20_0000;
        let ram = filled(&[unaccepted(1 << 32, 4 << 30), unaccepted(high, 0x20_0000)]).unwrap();
        assert_eq!(ram.end(), 1 << 47);
        assert_eq!(ram.unaccepted_bytes(), (4 << 30) + 0x20_0000);
        // The parser has refused what lies higher.
        assert!(fill(&[unaccepted(high, 0x20_1000)]).is_none());
        assert!(fill(&[unaccepted(1 << 47, 0x1000)]).is_none());
    }

    #[test]
    fn the_largest_list_fits() {
        let list: Vec<_> = (0..166).map(|n| unaccepted(0x100_0000 + n * 0x2000, 0x1000)).collect();
        assert!(td_hob(&list).len() as u64 <= TD_HOB.len);
        assert_eq!(filled(&list).unwrap().ranges().len(), 166 + OWN_RANGES);
    }

    #[test]
    fn added_memory_that_is_not_ours_is_refused() {
        for (start, len) in [(0x80_0000, 0x1_3000), (0x7F_F000, 0x2000), (0x10_0000, 0x1000)] {
            let range = RamRange { start, len };
            assert_eq!(filled(&[added(start, len)]).unwrap_err(), RamError::NotOurs(range));
        }
    }

    proptest! {
        #[test]
        fn no_list_makes_ranges_overlap_or_touch_ours(
            raw in prop::collection::vec((0_u64..0x900, 1_u64..0x40, any::<bool>()), 0..80),
        ) {
            let ranges: Vec<_> = raw.into_iter().map(|(page, pages, is_added)| {
                let kind = if is_added { Memory::Accepted } else { Memory::Unaccepted };
                ResourceRange { start: page << 12, len: pages << 12, kind }
            }).collect();
            if let Some(Ok(ram)) = fill(&ranges) {
                prop_assert!(ram.ranges().windows(2).all(|pair| pair[0].end <= pair[1].start));
                let own = ram.ranges().iter().filter(|range| range.state == State::Own).count();
                prop_assert_eq!(own, 3);
            }
        }

        #[test]
        fn no_bytes_of_a_td_hob_make_boot_panic(
            noise in prop::collection::vec(any::<u8>(), 0..400),
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        ) {
            let mut edited = td_hob(&[unaccepted(0, 0x80_0000), added(TEMP_MEM.start, TEMP_MEM.len)]);
            for (at, byte) in edits {
                *at.get_mut(&mut edited) = byte;
            }
            for bytes in [noise, edited] {
                if let Ok(list) = parse(&bytes, Limit::Refuse(1 << 47)) {
                    let _ = RamList::new().fill(&list, &OWN);
                }
            }
        }
    }
}
