//! Lays out everything that the kernel finds when it starts. [TDVF 8.3, 8.4]

use abi::{PAGE_SIZE, PageLevel};
use bootloader_api::BootloaderConfig;
use bootloader_api::config::Mapping;
use x86_64::VirtAddr;

use crate::addresses::Addresses;
use crate::bootinfo;
use crate::config::{self, ConfigError};
use crate::elf::Elf;
use crate::error::BootError;
use crate::frame::{Frame, FrameMemory, Frames};
use crate::load::{self, Kernel, Loaded};
use crate::paging::{AddressSpace, EXECUTE, MapError, VirtRange, WRITE};

/// The physical mapping reaches at least this far, for devices. [TDVF 8.4]
const PHYSICAL_END_MIN: u64 = 4 << 30;
const TOP_ENTRY_BYTES: u64 = 1 << 39;

/// What boot found in the image.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// The kernel, an ELF file.
    pub kernel: &'a [u8],
    /// The frame of its first byte.
    pub kernel_frame: Frame,
    /// The last page: the code that changes CR3, the GDT, the options. It stays where it is.
    pub last_page: Frame,
    /// The kernel's options.
    pub options: &'a str,
    /// The address of the first byte of the options, in the last page.
    pub options_address: u64,
}

/// What the CPU jumps with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// CR3.
    pub page_table: Frame,
    /// Top of the stack, a multiple of 16.
    pub stack_top: u64,
    /// The first instruction.
    pub start: u64,
    /// RDI: the boot information.
    pub boot_info: u64,
}

/// Where the boot information is.
struct InfoPlace {
    address: u64,
    frame: Frame,
    frames: u64,
}

/// Where the kernel's stack is.
struct Stack {
    bottom: u64,
    top: u64,
}

/// Builds the kernel's address space and its boot information.
///
/// Gives back what is left of `frames`.
///
/// # Errors
/// The kernel is broken or asks for what cannot be, or memory cannot be accepted.
pub fn prepare<'a, M: FrameMemory>(
    image: &Image<'_>,
    frames: Frames<'a>,
    memory: &'a mut M,
) -> Result<(Entry, Frames<'a>), BootError> {
    let kernel = Kernel { elf: Elf::parse(image.kernel)?, frame: image.kernel_frame };
    let config = config::read(&kernel.elf)?;
    let ram = frames.ram();
    let physical_end = whole_large_pages(ram.end().max(PHYSICAL_END_MIN));
    let info_size = bootinfo::size(ram.ranges().len()) as u64;
    let mut addresses = addresses(&kernel, &config, physical_end, info_size);
    let mut space = AddressSpace::new(memory, frames)?;

    let loaded = load::load(&kernel, config.mappings.kernel_base, &mut space, &mut addresses)?;
    let stack = map_stack(&config, &mut space, &mut addresses)?;
    let last_page = image.last_page.address();
    space.map(VirtAddr::new_truncate(last_page), last_page, PageLevel::Size4K, EXECUTE)?;
    let physical = map_physical_memory(&config, physical_end, &mut space, &mut addresses)?;
    let recursive = map_recursively(&config, &mut space, &mut addresses)?;
    let info = map_boot_info(&config, info_size, &mut space, &mut addresses)?;

    let (memory, frames, page_table) = space.into_parts();
    let words = memory.words(info.frame, info.frames as usize);
    let words = &mut words[(info.address % PAGE_SIZE / 8) as usize..];
    bootinfo::write(words, info.address, frames.ram().ranges(), frames.next(), |info| {
        let Loaded { image_offset, tls, .. } = loaded;
        info.physical_memory_offset = physical.into();
        info.recursive_index = recursive.into();
        info.tls_template = tls.into();
        info.kernel_addr = image.kernel_frame.address();
        info.kernel_len = image.kernel.len() as u64;
        info.kernel_image_offset = image_offset;
        info.kernel_stack_bottom = stack.bottom;
        info.kernel_stack_len = config.kernel_stack_size;
        // The contract has no command line; a kernel without options has no RAM disk.
        if !image.options.is_empty() {
            info.ramdisk_addr = Some(image.options_address).into();
            info.ramdisk_len = image.options.len() as u64;
        }
    });
    let boot_info = info.address;
    Ok((Entry { page_table, stack_top: stack.top, start: loaded.entry, boot_info }, frames))
}

/// Takes all addresses that are not for choice, before the first choice.
fn addresses(
    kernel: &Kernel<'_>,
    config: &BootloaderConfig,
    physical_end: u64,
    info_size: u64,
) -> Addresses {
    let mappings = &config.mappings;
    let mut addresses = Addresses::new(config, physical_end);
    load::take_addresses(&kernel.elf, mappings.kernel_base, &mut addresses);
    addresses.take_fixed(mappings.kernel_stack, config.kernel_stack_size);
    addresses.take_fixed(mappings.boot_info, info_size);
    if let Some(mapping) = mappings.physical_memory {
        addresses.take_fixed(mapping, physical_end);
    }
    if let Some(mapping) = mappings.page_table_recursive {
        addresses.take_fixed(mapping, 1);
    }
    addresses
}

/// Maps the stack above a page that stays unmapped.
fn map_stack<M: FrameMemory>(
    config: &BootloaderConfig,
    space: &mut AddressSpace<'_, M>,
    addresses: &mut Addresses,
) -> Result<Stack, BootError> {
    let size = config.kernel_stack_size;
    let with_guard = size.checked_add(PAGE_SIZE).ok_or(MapError::NoMemory)?;
    let mapping = config.mappings.kernel_stack;
    let range = addresses.place(mapping, with_guard, PAGE_SIZE, "kernel_stack")?;
    for page in range.pages().skip(1) {
        space.map_fresh(page, WRITE)?;
    }
    let bottom = range.start().as_u64() + PAGE_SIZE;
    // As configured, even if not whole pages, but aligned as the System V ABI wants it.
    Ok(Stack { bottom, top: (bottom + size) & !15 })
}

/// Maps all physical memory, if the kernel asks for it: the address of byte 0.
fn map_physical_memory<M: FrameMemory>(
    config: &BootloaderConfig,
    end: u64,
    space: &mut AddressSpace<'_, M>,
    addresses: &mut Addresses,
) -> Result<Option<u64>, BootError> {
    const LARGE: u64 = PageLevel::Size2M.bytes();
    let Some(mapping) = config.mappings.physical_memory else { return Ok(None) };
    let range = addresses.place(mapping, end, LARGE, "physical_memory")?;
    space.map_large(range, 0, WRITE)?;
    Ok(Some(range.start().as_u64()))
}

/// Maps the page tables into themselves, if the kernel asks for it: the entry's index.
fn map_recursively<M: FrameMemory>(
    config: &BootloaderConfig,
    space: &mut AddressSpace<'_, M>,
    addresses: &mut Addresses,
) -> Result<Option<u16>, BootError> {
    let index = match config.mappings.page_table_recursive {
        None => return Ok(None),
        Some(Mapping::Dynamic) => addresses.free_entry()?,
        Some(Mapping::FixedAddress(address)) if address.is_multiple_of(TOP_ENTRY_BYTES) => {
            VirtRange::try_new(address, TOP_ENTRY_BYTES)?.start().p4_index().into()
        }
        Some(Mapping::FixedAddress(address)) => {
            let (what, alignment) = ("page_table_recursive", TOP_ENTRY_BYTES);
            return Err(ConfigError::UnalignedAddress { what, address, alignment }.into());
        }
    };
    space.map_recursively(index)?;
    Ok(Some(index))
}

/// Maps memory for the boot information, in one piece.
fn map_boot_info<M: FrameMemory>(
    config: &BootloaderConfig,
    size: u64,
    space: &mut AddressSpace<'_, M>,
    addresses: &mut Addresses,
) -> Result<InfoPlace, BootError> {
    let range = addresses.place(config.mappings.boot_info, size, 8, "boot_info")?;
    let address = range.start().as_u64();
    let frames = (address % PAGE_SIZE + size).div_ceil(PAGE_SIZE);
    let frame = space.frames().run(frames)?;
    for (page, frame) in range.pages().zip((frame.address()..).step_by(PAGE_SIZE as usize)) {
        space.map(page, frame, PageLevel::Size4K, WRITE)?;
    }
    Ok(InfoPlace { address, frame, frames })
}

/// Rounds up to whole 2 MiB pages.
const fn whole_large_pages(bytes: u64) -> u64 {
    // Memory lies below 2^52.
    bytes.next_multiple_of(PageLevel::Size2M.bytes())
}

#[cfg(test)]
mod tests;
