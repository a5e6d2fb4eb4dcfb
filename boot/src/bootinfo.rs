//! The boot information: the map of memory and what else the kernel is told. [TDVF 8.5]
//!
//! It lies in frames of its own, written here by their physical addresses and read by the
//! kernel at `at`; the pointer in it is the kernel's.
#![expect(unsafe_code, reason = "writes structures of bootloader_api into frames")]

use core::mem::offset_of;

use bootloader_api::BootInfo;
use bootloader_api::info::{MemoryRegion, MemoryRegionKind, MemoryRegions};

use crate::frame::FRAMES_START;
use crate::ram::{Range, State};

/// EFI's type of unaccepted memory, for memory that the kernel has to accept itself.
const EFI_UNACCEPTED: u32 = 15;

/// Bytes between the boot information and the regions.
const REGIONS_OFFSET: usize = size_of::<BootInfo>().next_multiple_of(align_of::<MemoryRegion>());

const _: () = assert!(align_of::<BootInfo>() == 8 && align_of::<MemoryRegion>() == 8);
// A pointer, then a length, by its repr(C); a test reads both back.
const _: () = assert!(size_of::<MemoryRegions>() == 16);

/// Bytes that boot information takes if there are `ranges` ranges of memory: each can be
/// accepted in part, and the used part can split free memory in three.
#[must_use]
pub const fn size(ranges: usize) -> usize {
    REGIONS_OFFSET + (2 * ranges + 2) * size_of::<MemoryRegion>()
}

/// Calls `emit` with the map of memory, ascending: memory of our own and accepted memory
/// below `used_end` belong to the boot loader, other accepted memory is free, the first MiB
/// of it too, and what is not accepted is called so. Neighbours of one kind are joined.
pub fn for_each_region(ranges: &[Range], used_end: u64, emit: &mut dyn FnMut(MemoryRegion)) {
    let mut pending = MemoryRegion::empty();
    let mut add = |start: u64, end: u64, kind: MemoryRegionKind| {
        if start >= end {
            return;
        }
        if pending.end == start && pending.kind == kind && pending.start != pending.end {
            pending.end = end;
            return;
        }
        let done = core::mem::replace(&mut pending, MemoryRegion { start, end, kind });
        if done.start != done.end {
            emit(done);
        }
    };
    for &Range { start, end, state } in ranges {
        match state {
            State::Own => add(start, end, MemoryRegionKind::Bootloader),
            State::Free { accepted_end } => {
                let used_end = used_end.max(FRAMES_START);
                let used_from = start.max(FRAMES_START);
                add(start, accepted_end.min(FRAMES_START), MemoryRegionKind::Usable);
                add(used_from, accepted_end.min(used_end), MemoryRegionKind::Bootloader);
                add(start.max(used_end), accepted_end, MemoryRegionKind::Usable);
                add(accepted_end, end, MemoryRegionKind::UnknownUefi(EFI_UNACCEPTED));
            }
        }
    }
    if pending.start != pending.end {
        emit(pending);
    }
}

/// Writes boot information to the start of `memory`, which the kernel sees at `at`; the
/// regions follow it. `set` fills in what is not about memory.
///
/// # Panics
/// `memory` is smaller than [`size`] says.
pub fn write(
    memory: &mut [u64],
    at: u64,
    ranges: &[Range],
    used_end: u64,
    set: impl FnOnce(&mut BootInfo),
) {
    assert!(size_of_val(memory) >= size(ranges.len()), "the caller asked how much is needed");
    let base = memory.as_mut_ptr();
    let mut count = 0;
    for_each_region(ranges, used_end, &mut |region| {
        let offset = REGIONS_OFFSET + count * size_of::<MemoryRegion>();
        assert!(offset + size_of::<MemoryRegion>() <= size(ranges.len()), "see size()");
        // SAFETY: inside `memory`, as asserted; aligned to 8 like the words of `memory`.
        unsafe { base.byte_add(offset).cast::<MemoryRegion>().write(region) };
        count += 1;
    });

    let none: &'static mut [MemoryRegion] = &mut [];
    let mut info = BootInfo::new(none.into());
    set(&mut info);
    // SAFETY: inside `memory`, which is larger; aligned to 8.
    unsafe { base.cast::<BootInfo>().write(info) };
    let regions = [at + REGIONS_OFFSET as u64, count as u64];
    let slot = offset_of!(BootInfo, memory_regions);
    // SAFETY: the two words of the field, inside the structure just written. They are
    // plain numbers here; where the kernel reads them they point to the regions above.
    unsafe { base.byte_add(slot).cast::<[u64; 2]>().write(regions) };
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const fn own(start: u64, end: u64) -> Range {
        Range { start, end, state: State::Own }
    }

    const fn free(start: u64, end: u64) -> Range {
        accepted_to(end, start, end)
    }

    const fn accepted_to(accepted_end: u64, start: u64, end: u64) -> Range {
        Range { start, end, state: State::Free { accepted_end } }
    }

    const fn region(start: u64, end: u64, kind: MemoryRegionKind) -> MemoryRegion {
        MemoryRegion { start, end, kind }
    }

    fn regions(ranges: &[Range], used_end: u64) -> Vec<MemoryRegion> {
        let mut regions = Vec::new();
        for_each_region(ranges, used_end, &mut |region| regions.push(region));
        regions
    }

    #[test]
    fn free_memory_is_split_where_boot_used_it() {
        use MemoryRegionKind::{Bootloader, Usable};
        let ranges = [
            free(0, 0x80_0000),
            own(0x80_0000, 0x81_0000),
            own(0x81_0000, 0x81_2000),
            free(0x81_2000, 0x400_0000),
            own(0xFFE0_0000, 0x1_0000_0000),
        ];
        let expected = [
            region(0, 0x10_0000, Usable),
            region(0x10_0000, 0x18_0000, Bootloader),
            region(0x18_0000, 0x80_0000, Usable),
            region(0x80_0000, 0x81_2000, Bootloader),
            region(0x81_2000, 0x400_0000, Usable),
            region(0xFFE0_0000, 0x1_0000_0000, Bootloader),
        ];
        assert_eq!(regions(&ranges, 0x18_0000), expected);
        let past_temp_mem = [
            region(0, 0x10_0000, Usable),
            region(0x10_0000, 0x90_0000, Bootloader),
            region(0x90_0000, 0x400_0000, Usable),
            region(0xFFE0_0000, 0x1_0000_0000, Bootloader),
        ];
        assert_eq!(regions(&ranges, 0x90_0000), past_temp_mem);
    }

    #[test]
    fn memory_that_is_left_unaccepted_is_called_so() {
        let unaccepted = MemoryRegionKind::UnknownUefi(15);
        let ranges = [accepted_to(0, 0, 0x1000)];
        assert_eq!(regions(&ranges, FRAMES_START), [region(0, 0x1000, unaccepted)]);
        let ranges = [
            accepted_to(0x20_0000, 0, 0x80_0000),
            own(0x80_0000, 0x81_2000),
            accepted_to(0x81_2000, 0x81_2000, 0x400_0000),
        ];
        let expected = [
            region(0, 0x10_0000, MemoryRegionKind::Usable),
            region(0x10_0000, 0x18_0000, MemoryRegionKind::Bootloader),
            region(0x18_0000, 0x20_0000, MemoryRegionKind::Usable),
            region(0x20_0000, 0x80_0000, unaccepted),
            region(0x80_0000, 0x81_2000, MemoryRegionKind::Bootloader),
            region(0x81_2000, 0x400_0000, unaccepted),
        ];
        assert_eq!(regions(&ranges, 0x18_0000), expected);
    }

    #[test]
    fn boot_information_is_read_back_through_the_api() {
        let ranges = [free(0, 0x80_0000), own(0x80_0000, 0x81_0000)];
        let mut memory = std::vec![u64::MAX; size(ranges.len()).div_ceil(8)];
        let at = memory.as_ptr().addr() as u64;
        write(&mut memory, at, &ranges, 0x18_0000, |info| {
            info.kernel_addr = 0xFFE0_0000;
            info.physical_memory_offset = Some(1 << 39).into();
        });
        let start = memory.as_mut_ptr();
        // SAFETY: `write` put a BootInfo there, with a pointer into the same vector.
        let info = unsafe { &*start.cast::<BootInfo>() };
        assert_eq!(info.kernel_addr, 0xFFE0_0000);
        assert_eq!(info.physical_memory_offset.into_option(), Some(1 << 39));
        assert_eq!(info.rsdp_addr.into_option(), None);
        assert_eq!(info.memory_regions[..], regions(&ranges, 0x18_0000));
    }

    proptest! {
        #[test]
        fn regions_keep_every_byte_and_fit_their_room(
            cuts in prop::collection::btree_set(0_u64..4096, 2..60),
            states in prop::collection::vec((0_u8..6, 0_u64..4096), 60),
            used in 0_u64..4096,
        ) {
            let cuts: Vec<_> = cuts.into_iter().map(|page| page << 12).collect();
            let ranges: Vec<_> = cuts.windows(2).zip(states).filter_map(|(cut, (kind, part))| {
                let (start, end) = (cut[0], cut[1]);
                match kind {
                    0 => None,
                    1 => Some(own(start, end)),
                    2 => Some(free(start, end)),
                    3 => Some(accepted_to(start, start, end)),
                    _ => Some(accepted_to((start + (part << 12)).min(end), start, end)),
                }
            }).collect();
            let regions = regions(&ranges, used << 12);
            prop_assert!(REGIONS_OFFSET + size_of_val(&regions[..]) <= size(ranges.len()));
            prop_assert!(regions.windows(2).all(|pair| pair[0].end <= pair[1].start));
            for page in (0..4096).map(|page| page << 12) {
                let range = ranges.iter().find(|r| (r.start..r.end).contains(&page));
                let kind = range.map(|range| match range.state {
                    State::Own => MemoryRegionKind::Bootloader,
                    State::Free { accepted_end } if page >= accepted_end => {
                        MemoryRegionKind::UnknownUefi(15)
                    }
                    State::Free { .. } if (FRAMES_START..used << 12).contains(&page) => {
                        MemoryRegionKind::Bootloader
                    }
                    State::Free { .. } => MemoryRegionKind::Usable,
                });
                let found = regions.iter().find(|r| (r.start..r.end).contains(&page));
                prop_assert_eq!(found.map(|region| region.kind), kind);
            }
        }
    }
}
