//! Loads the kernel into its address space. [TDVF 8.4]
//!
//! Pages that the file fills are mapped straight onto the image: its frames are private
//! and measured, and nobody else uses them. A page gets a frame of its own where it
//! holds more than the file's bytes for that segment (the end of the data, `.bss`), where
//! it is writable and the file's page holds something else too, and where a relocation
//! changes it. So boot never writes the image, and no frame is both writable and
//! executable.

use abi::{PAGE_SIZE, PageLevel};
use bootloader_api::config::Mapping;
use bootloader_api::info::TlsTemplate;
use x86_64::VirtAddr;
use x86_64::structures::paging::PageTableFlags as Flags;
use zerocopy::IntoBytes;

use crate::addresses::Addresses;
use crate::config::ConfigError;
use crate::elf::{Elf, ElfError, Segment};
use crate::error::BootError;
use crate::frame::{Frame, FrameMemory};
use crate::paging::{AddressSpace, EXECUTE, MapError, READ, VirtRange, WRITE};

/// The kernel's file, and where it lies in physical memory.
#[derive(Clone, Copy, Debug)]
pub struct Kernel<'a> {
    /// The file.
    pub elf: Elf<'a>,
    /// The frame of its first byte.
    pub frame: Frame,
}

/// A loaded kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Address of the first instruction.
    pub entry: u64,
    /// What was added to the addresses of the file.
    pub image_offset: u64,
    /// Thread-local storage.
    pub tls: Option<TlsTemplate>,
}

/// Takes the addresses of a kernel that has them, so that nothing else is put there.
pub fn take_addresses(elf: &Elf<'_>, base: Mapping, addresses: &mut Addresses) {
    let (start, end) = span(elf);
    if elf.is_relocatable() {
        addresses.take_fixed(base, end - start);
    } else {
        addresses.take(start, end - start);
    }
}

/// Maps the kernel.
///
/// # Errors
/// It cannot be placed or relocated, or its segments collide.
pub fn load<M: FrameMemory>(
    kernel: &Kernel<'_>,
    base: Mapping,
    space: &mut AddressSpace<'_, M>,
    addresses: &mut Addresses,
) -> Result<Loaded, BootError> {
    let elf = &kernel.elf;
    let offset = displacement(elf, base, addresses)?;
    for segment in elf.segments() {
        map_segment(kernel, &segment, offset, space)?;
    }
    for relocation in elf.relocations()? {
        let relocation = relocation?;
        if !elf.segments().any(|segment| segment.contains(relocation.offset, 8)) {
            return Err(ElfError::RelocationOutside(relocation.offset).into());
        }
        let at = relocation.offset.wrapping_add(offset);
        let value = relocation.addend.wrapping_add(offset);
        write(kernel, space, at, value)?;
    }
    for range in elf.read_only_after_relocation() {
        protect(space, range.start.wrapping_add(offset), range.end.wrapping_add(offset))?;
    }
    let tls = elf.tls().map(|(address, file_size, mem_size)| TlsTemplate {
        start_addr: address.wrapping_add(offset),
        file_size,
        mem_size,
    });
    Ok(Loaded { entry: elf.entry().wrapping_add(offset), image_offset: offset, tls })
}

/// First address and first address after all segments.
fn span(elf: &Elf<'_>) -> (u64, u64) {
    let start = elf.segments().map(|segment| segment.address).min().unwrap_or(0);
    let end = elf.segments().map(|segment| segment.end()).max().unwrap_or(start);
    (start, end)
}

/// What to add to the addresses of the file.
fn displacement(elf: &Elf<'_>, base: Mapping, addresses: &mut Addresses) -> Result<u64, BootError> {
    if elf.is_relocatable() {
        let (start, end) = span(elf);
        let place = addresses.place(base, end - start, elf.alignment(), "kernel_base")?;
        return Ok(match base {
            Mapping::Dynamic => place.start().as_u64().wrapping_sub(start & !(PAGE_SIZE - 1)),
            Mapping::FixedAddress(base) => base,
        });
    }
    match base {
        Mapping::Dynamic => Ok(0),
        Mapping::FixedAddress(base) => Err(ConfigError::FixedBase(base).into()),
    }
}

fn map_segment<M: FrameMemory>(
    kernel: &Kernel<'_>,
    segment: &Segment,
    offset: u64,
    space: &mut AddressSpace<'_, M>,
) -> Result<(), BootError> {
    let flags = match segment {
        Segment { is_executable: true, .. } => EXECUTE,
        Segment { is_writable: true, .. } => WRITE,
        Segment { .. } => READ,
    };
    let range = VirtRange::try_new(segment.address.wrapping_add(offset), segment.memory_size)?;
    let start = range.start().as_u64();
    let file_size = segment.file.end - segment.file.start;
    for page in range.pages() {
        // The part of the page that the file fills, in bytes from the segment's start.
        let first = page.as_u64().saturating_sub(start);
        let in_page = start + first - page.as_u64();
        let last = (first + PAGE_SIZE - in_page).min(file_size);
        if first >= file_size {
            space.map_fresh(page, flags)?;
            continue;
        }
        let is_whole = last - first == PAGE_SIZE;
        let has_zeros = last == file_size && segment.memory_size > file_size;
        let source = segment.file.start + first;
        if is_whole || !has_zeros && !segment.is_writable {
            let physical = kernel.frame.address() + (source - in_page);
            space.map(page, physical, PageLevel::Size4K, flags)?;
        } else {
            let frame = space.map_fresh(page, flags)?;
            let bytes = &kernel.elf.bytes()[source as usize..][..(last - first) as usize];
            fill(space.memory(), frame, in_page as usize, bytes);
        }
    }
    Ok(())
}

/// Copies `bytes` into a frame.
fn fill(memory: &mut impl FrameMemory, frame: Frame, at: usize, bytes: &[u8]) {
    memory.words(frame, 1).as_mut_bytes()[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Writes a word of the loaded kernel, which may lie in two pages.
fn write<M: FrameMemory>(
    kernel: &Kernel<'_>,
    space: &mut AddressSpace<'_, M>,
    at: u64,
    value: u64,
) -> Result<(), BootError> {
    let bytes = value.to_le_bytes();
    let in_page = at % PAGE_SIZE;
    let (here, next) = bytes.split_at((PAGE_SIZE - in_page).min(8) as usize);
    let page = VirtAddr::new_truncate(at - in_page);
    let frame = own(kernel, space, page)?;
    fill(space.memory(), frame, in_page as usize, here);
    if !next.is_empty() {
        let frame = own(kernel, space, VirtAddr::new_truncate(at - in_page + PAGE_SIZE))?;
        fill(space.memory(), frame, 0, next);
    }
    Ok(())
}

/// The frame of a page of the kernel, after a copy if it was a frame of the image.
fn own<M: FrameMemory>(
    kernel: &Kernel<'_>,
    space: &mut AddressSpace<'_, M>,
    page: VirtAddr,
) -> Result<Frame, BootError> {
    let (frame, flags) = space.lookup(page).ok_or(MapError::NotMapped(page.as_u64()))?;
    let file = kernel.elf.bytes();
    let Some(offset) = frame
        .address()
        .checked_sub(kernel.frame.address())
        .filter(|offset| *offset < file.len() as u64)
    else {
        return Ok(frame);
    };
    let copy = space.frames().one()?;
    let page_of_file = &file[offset as usize..];
    let bytes = page_of_file.get(..PAGE_SIZE as usize).unwrap_or(page_of_file);
    fill(space.memory(), copy, 0, bytes);
    space.remap(page, copy, flags)?;
    Ok(copy)
}

/// Takes write permission from the whole pages of a range that are mapped.
fn protect<M: FrameMemory>(
    space: &mut AddressSpace<'_, M>,
    start: u64,
    end: u64,
) -> Result<(), BootError> {
    // The last page may hold other data too.
    let len = (end & !(PAGE_SIZE - 1)).saturating_sub(start);
    if len == 0 {
        return Ok(());
    }
    for page in VirtRange::try_new(start, len)?.pages() {
        let (frame, flags) = space.lookup(page).ok_or(MapError::NotMapped(page.as_u64()))?;
        space.remap(page, frame, flags - Flags::WRITABLE)?;
    }
    Ok(())
}
