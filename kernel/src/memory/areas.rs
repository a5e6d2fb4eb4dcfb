//! Boot's map of memory, as the heap sees it: areas that it may fill.
//!
//! An area is a run of neighbouring regions that are usable or still unaccepted. The heap
//! grows into it from below, so its first part must be accepted before the rest is asked for.
//! There is room for [`MAX_AREAS`]: the largest ones are kept.

use core::fmt;

use abi::PAGE_SIZE;
use bootloader_api::info::{MemoryRegion, MemoryRegionKind};

/// The most areas that the heap is made of.
pub(crate) const MAX_AREAS: usize = 16;

/// How boot calls memory that the kernel has to accept: EFI's type. [TDVF 8.5]
pub(crate) const UNACCEPTED: MemoryRegionKind = MemoryRegionKind::UnknownUefi(15);

/// Physical memory for the heap, in whole pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Area {
    /// First byte.
    pub(crate) start: u64,
    /// Up to here it can be used at once.
    pub(crate) accepted_end: u64,
    /// First byte after it.
    pub(crate) end: u64,
}

impl Area {
    const fn bytes(&self) -> u64 {
        self.end - self.start
    }
}

/// Physical memory by use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Areas {
    list: [Area; MAX_AREAS],
    count: usize,
    /// Bytes of all regions.
    pub(crate) total_bytes: u64,
    /// Bytes of the areas that had no room.
    pub(crate) dropped_bytes: u64,
}

impl Areas {
    /// The areas of boot's regions, which ascend.
    ///
    /// # Errors
    /// They do not, or overlap.
    pub(crate) fn of(regions: &[MemoryRegion]) -> Result<Self, MapError> {
        let mut areas =
            Self { list: [Area::default(); MAX_AREAS], count: 0, total_bytes: 0, dropped_bytes: 0 };
        let mut last_end = 0;
        let mut area = Area::default();
        for region in regions {
            if region.start < last_end || region.end < region.start {
                return Err(MapError { start: region.start, end: region.end });
            }
            last_end = region.end;
            areas.total_bytes += region.end - region.start;
            let Some(piece) = whole_pages(region) else { continue };
            if piece.start != area.end {
                areas.keep(area);
                area = Area { end: piece.start, accepted_end: piece.start, start: piece.start };
            }
            if area.accepted_end == piece.start {
                area.accepted_end = piece.accepted_end;
            }
            area.end = piece.end;
        }
        areas.keep(area);
        Ok(areas)
    }

    /// The areas, ascending.
    pub(crate) fn list(&self) -> &[Area] {
        &self.list[..self.count]
    }

    /// Takes an area, which lies above all others, if need be in the place of the smallest.
    fn keep(&mut self, area: Area) {
        if area.bytes() == 0 {
            return;
        }
        if self.count == MAX_AREAS {
            let smallest = (0..MAX_AREAS).min_by_key(|index| self.list[*index].bytes());
            let smallest = smallest.unwrap_or(0);
            let bytes = self.list[smallest].bytes();
            if area.bytes() <= bytes {
                self.dropped_bytes += area.bytes();
                return;
            }
            self.dropped_bytes += bytes;
            self.list.copy_within(smallest + 1.., smallest);
            self.count -= 1;
        }
        self.list[self.count] = area;
        self.count += 1;
    }
}

/// The whole pages of a region that is usable or unaccepted, without page 0, whose address
/// is C's null.
fn whole_pages(region: &MemoryRegion) -> Option<Area> {
    let start = region.start.max(PAGE_SIZE).checked_next_multiple_of(PAGE_SIZE)?;
    let end = region.end - region.end % PAGE_SIZE;
    let accepted_end = match region.kind {
        MemoryRegionKind::Usable => end,
        UNACCEPTED => start,
        _ => return None,
    };
    (start < end).then_some(Area { start, accepted_end, end })
}

/// Boot's regions overlap or do not ascend, at this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MapError {
    start: u64,
    end: u64,
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, end } = self;
        write!(f, "boot's memory region [{start:#x}, {end:#x}) is out of order")
    }
}

impl core::error::Error for MapError {}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;
    const USABLE: MemoryRegionKind = MemoryRegionKind::Usable;
    const BOOT: MemoryRegionKind = MemoryRegionKind::Bootloader;

    fn areas(list: &[(u64, u64, MemoryRegionKind)]) -> Result<Areas, MapError> {
        let regions: Vec<_> =
            list.iter().map(|&(start, end, kind)| MemoryRegion { start, end, kind }).collect();
        Areas::of(&regions)
    }

    fn bytes(areas: &Areas) -> u64 {
        areas.list().iter().map(Area::bytes).sum()
    }

    const fn area(start: u64, accepted_end: u64, end: u64) -> Area {
        Area { start, accepted_end, end }
    }

    #[test]
    fn what_boot_accepts_and_what_it_leaves_behind_that_is_one_area() {
        let areas = areas(&[
            (0, MIB, USABLE),
            (MIB, MIB + 0x5_0000, BOOT),
            (MIB + 0x5_0000, 2 * MIB, USABLE),
            (2 * MIB, 8 * MIB, UNACCEPTED),
            (8 * MIB, 8 * MIB + 0x1_2000, BOOT),
            (8 * MIB + 0x1_2000, 64 * MIB, UNACCEPTED),
        ])
        .unwrap();
        let expected = [
            area(0x1000, MIB, MIB),
            area(MIB + 0x5_0000, 2 * MIB, 8 * MIB),
            area(8 * MIB + 0x1_2000, 8 * MIB + 0x1_2000, 64 * MIB),
        ];
        assert_eq!(areas.list(), expected);
        assert_eq!(areas.total_bytes, 64 * MIB);
        assert_eq!(bytes(&areas), 64 * MIB - 0x1000 - 0x5_0000 - 0x1_2000);
        assert_eq!(areas.dropped_bytes, 0);
    }

    #[test]
    fn usable_memory_behind_unaccepted_memory_waits_for_it() {
        let list =
            [(MIB, 2 * MIB, USABLE), (2 * MIB, 3 * MIB, UNACCEPTED), (3 * MIB, 4 * MIB, USABLE)];
        assert_eq!(areas(&list).unwrap().list(), [area(MIB, 2 * MIB, 4 * MIB)]);
    }

    #[test]
    fn other_memory_and_parts_of_pages_are_not_used() {
        let list = [(0, 0x1FFF, USABLE), (0x1FFF, MIB, BOOT), (MIB + 5, MIB + 0x2005, USABLE)];
        assert_eq!(areas(&list).unwrap().list(), [area(MIB + 0x1000, MIB + 0x2000, MIB + 0x2000)]);
        assert_eq!(areas(&[]).unwrap().list(), []);
        assert_eq!(areas(&[(u64::MAX - 5, u64::MAX, USABLE)]).unwrap().list(), []);
    }

    #[test]
    fn regions_out_of_order_are_refused() {
        let refused = |list: &[_]| areas(list).unwrap_err();
        assert_eq!(
            refused(&[(5 * MIB, 3 * MIB, USABLE)]),
            MapError { start: 5 * MIB, end: 3 * MIB }
        );
        let overlap = [(MIB, 3 * MIB, BOOT), (2 * MIB, 4 * MIB, USABLE)];
        assert_eq!(refused(&overlap), MapError { start: 2 * MIB, end: 4 * MIB });
    }

    #[test]
    fn of_too_many_areas_the_largest_are_kept() {
        let list: Vec<_> =
            (1..=20).map(|n| (n * MIB, n * MIB + (n * 7 % 20 + 1) * 0x1000, USABLE)).collect();
        let areas = areas(&list).unwrap();
        assert_eq!(areas.list().len(), MAX_AREAS);
        assert!(areas.list().is_sorted_by_key(|area| area.start));
        assert!(areas.list().iter().all(|area| area.bytes() > 4 * 0x1000));
        assert_eq!(areas.dropped_bytes, (1 + 2 + 3 + 4) * 0x1000);
    }

    proptest! {
        #[test]
        fn areas_are_made_of_the_usable_and_unaccepted_pages(
            cuts in prop::collection::btree_set(0_u64..1024, 2..60),
            kinds in prop::collection::vec(0_usize..4, 60),
        ) {
            let cuts: Vec<_> = cuts.into_iter().map(|page| page << 12).collect();
            let list: Vec<_> = cuts.windows(2).zip(kinds).filter_map(|(cut, kind)| {
                Some((cut[0], cut[1], *[USABLE, UNACCEPTED, BOOT].get(kind)?))
            }).collect();
            let areas = areas(&list).unwrap();
            let is_ours = |page: u64| list.iter().any(|&(start, end, kind)| {
                page > 0 && (start..end).contains(&page) && kind != BOOT
            });
            let pages = (0..1024).map(|page| page << 12).filter(|page| is_ours(*page)).count();
            prop_assert_eq!(bytes(&areas) + areas.dropped_bytes, pages as u64 * PAGE_SIZE);
            for area in areas.list() {
                prop_assert!((area.start..area.end).step_by(0x1000).all(is_ours));
                let is_usable = |page: u64| list.iter().any(|&(start, end, kind)| {
                    (start..end).contains(&page) && kind == USABLE
                });
                prop_assert!((area.start..area.accepted_end).step_by(0x1000).all(is_usable));
                prop_assert!(area.accepted_end == area.end || !is_usable(area.accepted_end));
            }
        }
    }
}
