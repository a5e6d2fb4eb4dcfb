//! Which of the usable memory serves what: page-table frames and the heap.

use core::ops::Range;

use abi::PAGE_SIZE;
use bootloader_api::info::{MemoryRegion, MemoryRegionKind};

/// Bytes set aside for page tables of device mappings.
const FRAMES_BYTES: u64 = 16 * PAGE_SIZE;
/// The smallest heap worth starting with.
const MIN_HEAP_BYTES: u64 = 64 * 1024;

/// Physical memory by use, page aligned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// For page tables.
    pub(crate) frames: Range<u64>,
    /// For the heap.
    pub(crate) heap: Range<u64>,
    /// Bytes of usable memory in all regions.
    pub(crate) usable_bytes: u64,
}

/// Takes the largest usable region: page tables first, then the heap. None if no region is
/// large enough.
pub(crate) fn plan(regions: &[MemoryRegion]) -> Option<Plan> {
    let usable = || regions.iter().filter_map(usable_pages);
    let largest = usable().max_by_key(|range| range.end - range.start)?;
    let heap_start = largest.start + FRAMES_BYTES;
    if largest.end < heap_start + MIN_HEAP_BYTES {
        return None;
    }
    Some(Plan {
        frames: largest.start..heap_start,
        heap: heap_start..largest.end,
        usable_bytes: usable().map(|range| range.end - range.start).sum(),
    })
}

/// The whole pages of a usable region, without page 0, whose address is C's null.
fn usable_pages(region: &MemoryRegion) -> Option<Range<u64>> {
    let start = region.start.max(PAGE_SIZE).checked_next_multiple_of(PAGE_SIZE)?;
    let end = region.end - region.end % PAGE_SIZE;
    (region.kind == MemoryRegionKind::Usable && start < end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const MIB: u64 = 1 << 20;

    fn regions(list: &[(u64, u64, MemoryRegionKind)]) -> Vec<MemoryRegion> {
        list.iter().map(|&(start, end, kind)| MemoryRegion { start, end, kind }).collect()
    }

    #[test]
    fn the_largest_usable_region_is_split() {
        let list = regions(&[
            (0, 0xA0000, MemoryRegionKind::Usable),
            (MIB, 64 * MIB, MemoryRegionKind::Bootloader),
            (64 * MIB + 5, 80 * MIB + 5, MemoryRegionKind::Usable),
            (80 * MIB + 5, 80 * MIB + 5, MemoryRegionKind::Usable),
        ]);
        let plan = plan(&list).unwrap();
        assert_eq!(plan.frames, 64 * MIB + 0x1000..64 * MIB + 0x11000);
        assert_eq!(plan.heap, 64 * MIB + 0x11000..80 * MIB);
        assert_eq!(plan.usable_bytes, 16 * MIB - 0x1000 + 0x9F000);
    }

    #[test]
    fn memory_that_is_not_usable_is_not_used() {
        let list = regions(&[
            (0, 1 << 30, MemoryRegionKind::Bootloader),
            (1 << 30, 2 << 30, MemoryRegionKind::UnknownUefi(15)),
        ]);
        assert_eq!(plan(&list), None);
    }

    #[test]
    fn hostile_regions_are_no_trouble() {
        let usable = MemoryRegionKind::Usable;
        assert_eq!(plan(&regions(&[(u64::MAX - 5, u64::MAX, usable)])), None);
        assert_eq!(plan(&regions(&[(5 * MIB, 3 * MIB, usable)])), None);
        assert_eq!(plan(&regions(&[(MIB, MIB + 0x10000, usable)])), None);
        assert_eq!(plan(&[]), None);
    }
}
