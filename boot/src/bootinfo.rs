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

/// Bytes that boot information takes if there are `ranges` ranges of memory: the used
/// part can split free memory in three.
#[must_use]
pub const fn size(ranges: usize) -> usize {
    REGIONS_OFFSET + (ranges + 2) * size_of::<MemoryRegion>()
}

/// Calls `emit` with the map of memory, ascending: memory of our own and frames below
/// `used_end` belong to the boot loader, other accepted memory is free, the first MiB of it
/// too. Neighbours of one kind are joined.
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
            State::Unaccepted => add(start, end, MemoryRegionKind::UnknownUefi(EFI_UNACCEPTED)),
            State::Accepted => {
                let used_end = used_end.max(FRAMES_START);
                add(start, end.min(FRAMES_START), MemoryRegionKind::Usable);
                add(start.max(FRAMES_START), end.min(used_end), MemoryRegionKind::Bootloader);
                add(start.max(used_end), end, MemoryRegionKind::Usable);
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
