//! Memory: the physical mapping, the heap, device windows.
//!
//! From boot: page tables with the kernel mapped W^X, and all memory mapped read-write at one
//! offset, in the private half, accepted or not: touching what is not accepted ends the trust
//! domain, so the heap accepts memory before it hands it out. This adds the heap and, one
//! page at a time, device memory in the shared half.
#![expect(unsafe_code, reason = "page tables and the physical mapping")]

mod areas;
mod bytes;
pub mod guard;
mod heap;
mod live;
mod mappings;
mod numbers;
mod place;
pub mod shared;
mod store;
mod tables;
mod unaccepted;
mod walk;

use core::alloc::Layout as BlockLayout;
use core::ptr;
use core::slice;
use core::sync::atomic::{AtomicU64, Ordering};

use abi::{Gpa, GpaWidth, PAGE_SIZE, SharedGpa};
use arch::trap::{Gap, STACKS};
use bootloader_api::BootInfo;
use spin::Once;
use x86_64::registers::control::{Cr3, Cr4, Cr4Flags};
use x86_64::registers::model_specific::{FsBase, GsBase};
use x86_64::structures::paging::{
    FrameAllocator, Mapper, OffsetPageTable, Page, PageTable, PageTableFlags, PhysFrame, Size4KiB,
    Translate,
};
use x86_64::{PhysAddr, VirtAddr};

use self::areas::Areas;
use self::bytes::{Bytes, Pages};
pub use self::heap::{Heap, accept_in_background, map, numbers, try_alloc, try_numbers};
pub use self::mappings::Mapping;
pub use self::numbers::{Numbers, OutOfMemory};
pub use self::place::{Place, place_of, regions};
pub use self::tables::TableError;
use self::walk::Translation;
use crate::options::Acceptance;
use crate::ve::decode::MAX_LENGTH;
use crate::{println, ve};

/// What trap handlers need to know of memory; set once, before the first device is mapped.
static LAYOUT: Once<Layout> = Once::new();

/// The physical mapping reaches at least this far. [TDVF 8.4]
const PHYSICAL_END_MIN: u64 = 4 << 30;

/// GPAs of the mapped device pages, SHARED bit included; 0 is free.
static DEVICES: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];

/// The last page that was found to be private memory when code was read from it; forgotten when
/// a mapping changes.
static CODE_PAGE: AtomicU64 = AtomicU64::new(NO_CODE_PAGE);
const NO_CODE_PAGE: u64 = 1;

#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Virtual address of physical address 0.
    physical_offset: u64,
    /// End of the physical mapping: above it nothing is read.
    physical_end: u64,
    width: GpaWidth,
}

/// The kernel's page tables, for whoever sets things up.
#[derive(Debug)]
pub struct Memory {
    tables: OffsetPageTable<'static>,
    next_device_page: VirtAddr,
}

impl Memory {
    /// Takes over what boot left: starts the heap, finds room for device windows.
    pub(crate) fn init(
        boot_info: &'static BootInfo,
        width: GpaWidth,
        acceptance: Acceptance,
        gaps: [Gap; STACKS],
    ) -> Self {
        assert!(!Cr4::read().contains(Cr4Flags::L5_PAGING), "boot must use 4-level paging");
        let physical_offset = boot_info.physical_memory_offset.into_option();
        let physical_offset = physical_offset.expect("BOOT_CONFIG asks for the physical mapping");
        let regions = &boot_info.memory_regions;
        place::init(regions);
        let areas = Areas::of(regions).unwrap_or_else(|error| panic!("{error}"));
        let ends = regions.iter().map(|region| region.end);
        let physical_end = ends.max().unwrap_or(0).max(PHYSICAL_END_MIN);
        LAYOUT.call_once(|| Layout { physical_offset, physical_end, width });

        // SAFETY: boot mapped all memory at this offset; what it calls usable is accepted,
        // and like the unaccepted memory nobody's. BootInfo is taken only once.
        let is_there = unsafe { heap::init(&areas, regions, width, physical_offset) };
        is_there.unwrap_or_else(|error| panic!("{error}"));
        if acceptance == Acceptance::Background {
            heap::start_background();
        }
        if areas.dropped_bytes > 0 {
            println!("memory: {} KiB in small pieces are not used", areas.dropped_bytes >> 10);
        }
        let offset = VirtAddr::new(physical_offset);
        let root = Cr3::read().0.start_address().as_u64();
        // SAFETY: CR3 names the live top-level table, which lies in mapped memory and which
        // nothing else in the kernel has a reference to.
        let root = unsafe { &mut *(offset + root).as_mut_ptr::<PageTable>() };
        let next_device_page = free_slot(root);
        shared::init(root, next_device_page);
        // SAFETY: all of physical memory is mapped at this offset.
        let tables = unsafe { OffsetPageTable::new(root, offset) };
        let mut memory = Self { tables, next_device_page };
        for gap in gaps {
            memory.unmap(gap.page);
        }
        guard::init(boot_info, gaps);
        memory
    }

    /// Unmaps a 4 KiB page of the kernel that nothing uses.
    fn unmap(&mut self, address: u64) {
        let page = Page::<Size4KiB>::containing_address(VirtAddr::new(address));
        let unmapped = self.tables.unmap(page);
        unmapped.unwrap_or_else(|error| panic!("guard page {address:#x}: {error:?}")).1.flush();
    }

    /// Maps the page at `address`, a device's, in the shared half: writable, uncached, not
    /// executable. From here on the kernel takes its EPT violations for device accesses.
    pub fn map_device(&mut self, address: u64) -> Device {
        let width = LAYOUT.get().expect("set by init").width;
        let gpa = SharedGpa::try_new(address, width).expect("a device has a private address");
        let frame = PhysFrame::<Size4KiB>::from_start_address(PhysAddr::new(gpa.bits()));
        let frame = frame.expect("a device is mapped by whole pages");
        let page = Page::containing_address(self.next_device_page);
        let flags = PageTableFlags::PRESENT
            | PageTableFlags::WRITABLE
            | PageTableFlags::NO_EXECUTE
            | PageTableFlags::NO_CACHE
            | PageTableFlags::WRITE_THROUGH;
        // SAFETY: the page is fresh, so no reference into it exists, and the frame is
        // device memory, which backs no Rust object.
        let mapped = unsafe { self.tables.map_to(page, frame, flags, &mut Frames) };
        mapped.expect("a fresh page of a free slot is not mapped").flush();
        register_device(gpa);
        self.next_device_page += PAGE_SIZE;
        Device { base: page.start_address(), gpa }
    }

    /// The width of guest-physical addresses.
    #[must_use]
    pub fn gpa_width(&self) -> GpaWidth {
        LAYOUT.get().expect("set by init").width
    }

    /// The guest-physical address of a mapped address, with the SHARED bit of shared memory.
    #[must_use]
    pub fn physical_address(&self, address: u64) -> Option<u64> {
        let address = VirtAddr::try_new(address).ok()?;
        self.tables.translate_addr(address).map(PhysAddr::as_u64)
    }

    /// Calls `visit` for each page that the processor's page tables map. False: they lead out
    /// of memory.
    pub fn for_each_mapping(&self, mut visit: impl FnMut(Mapping)) -> bool {
        let layout = LAYOUT.get().expect("set by init");
        let root = Cr3::read().0.start_address().as_u64();
        mappings::for_each(root, &|entry| layout.read(entry), &mut visit)
    }

    /// Where the physical mapping has a guest-physical address.
    #[must_use]
    pub fn physical(&self, address: u64) -> *mut u8 {
        (self.tables.phys_offset() + address).as_mut_ptr()
    }
}

/// A mapped page of device memory.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    base: VirtAddr,
    /// The page's shared address.
    pub gpa: SharedGpa,
}

impl Device {
    /// The 32-bit register at `offset`, for volatile accesses.
    #[must_use]
    pub fn register(&self, offset: u16) -> *mut u32 {
        (self.base + u64::from(offset)).as_mut_ptr()
    }
}

/// The highest unused 512 GiB slot of the kernel's half.
fn free_slot(root: &PageTable) -> VirtAddr {
    let slot = (256..511usize).rev().find(|slot| root[*slot].is_unused());
    let slot = slot.expect("boot fills only a few top-level entries") as u64;
    VirtAddr::new_truncate(slot << 39)
}

fn register_device(gpa: SharedGpa) {
    let free = DEVICES.iter().find(|device| device.load(Ordering::Relaxed) == 0);
    free.expect("more devices than the table has places").store(gpa.bits(), Ordering::Release);
}

/// Page frames for tables: the heap's.
struct Frames;

// SAFETY: each frame is a block of the heap of its own, which is not freed.
unsafe impl FrameAllocator<Size4KiB> for Frames {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        const PAGE: usize = PAGE_SIZE as usize;
        let page = try_alloc(BlockLayout::from_size_align(PAGE, PAGE).ok()?).ok()?;
        let address = page.expose_provenance().get() as u64;
        let frame = PhysAddr::new(address - LAYOUT.get()?.physical_offset);
        Some(PhysFrame::containing_address(frame))
    }
}

/// The text that boot hands over: the image's options.
pub(crate) fn boot_text(boot_info: &'static BootInfo) -> &'static [u8] {
    let Some(address) = boot_info.ramdisk_addr.into_option() else { return &[] };
    let text = ptr::with_exposed_provenance(address as usize);
    // SAFETY: boot says that so many bytes of the image are mapped there; nobody writes them.
    unsafe { slice::from_raw_parts(text, boot_info.ramdisk_len as usize) }
}

/// Memory as the #VE router asks about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Map;

impl ve::Memory for Map {
    fn gpa_width(&self) -> GpaWidth {
        // Before `init` no device is mapped: the width then decides between two errors.
        LAYOUT.get().map_or(GpaWidth::Bits48, |layout| layout.width)
    }

    fn is_device(&self, gpa: SharedGpa) -> bool {
        let page = gpa.bits() & !(PAGE_SIZE - 1);
        DEVICES.iter().any(|device| device.load(Ordering::Acquire) == page)
    }

    fn is_shared(&self, gpa: SharedGpa) -> bool {
        let Some(layout) = LAYOUT.get() else { return false };
        let found = shared::address_of(gpa).and_then(|address| layout.translate(address));
        found.is_some_and(|found| found.gpa == gpa.bits())
    }

    #[inline(always)]
    fn read_code(&self, address: u64, bytes: &mut [u8]) -> bool {
        let page = address & !(PAGE_SIZE - 1);
        let is_in_page = address - page + bytes.len() as u64 <= PAGE_SIZE;
        let is_there = is_in_page && (CODE_PAGE.load(Ordering::Relaxed) == page || is_code(page));
        if is_there {
            copy_code(address as usize, bytes);
        }
        is_there
    }

    fn read(&self, address: u64, bytes: &mut [u8]) -> bool {
        let Some(pages) = Pages::of(address, bytes.len(), |_| true) else { return false };
        let (first, second) = bytes.split_at_mut(pages.split);
        pages.first.copy_out(first);
        pages.second.copy_out(second);
        true
    }

    fn write(&self, address: u64, bytes: &[u8]) -> bool {
        let Some(pages) = Pages::of(address, bytes.len(), |to| to.is_writable) else {
            return false;
        };
        let (first, second) = bytes.split_at(pages.split);
        pages.first.copy_in(first);
        pages.second.copy_in(second);
        true
    }

    fn can_write(&self, address: u64, bytes: usize) -> bool {
        Pages::of(address, bytes, |to| to.is_writable).is_some()
    }

    fn segment_base(&self, segment: ve::Segment) -> u64 {
        match segment {
            ve::Segment::Fs => FsBase::read().as_u64(),
            ve::Segment::Gs => GsBase::read().as_u64(),
        }
    }

    fn device(&self, address: u64) -> Option<SharedGpa> {
        let layout = LAYOUT.get()?;
        match Gpa::try_new(layout.translate(address)?.gpa, layout.width) {
            Ok(Gpa::Shared(gpa)) if self.is_device(gpa) => Some(gpa),
            _ => None,
        }
    }
}

/// Whether a page is private memory: then it is the new [`CODE_PAGE`].
#[cold]
fn is_code(page: u64) -> bool {
    let is_private = Bytes::at(page, PAGE_SIZE as usize, |_| true).is_some();
    if is_private {
        CODE_PAGE.store(page, Ordering::Relaxed);
    }
    is_private
}

/// Copies bytes of [`CODE_PAGE`].
#[inline(always)]
fn copy_code(address: usize, bytes: &mut [u8]) {
    if let Ok(all) = <&mut [u8; MAX_LENGTH]>::try_from(&mut *bytes) {
        // SAFETY: the page is mapped, and the processor fetches code there; code is not
        // changed while it runs.
        *all = unsafe { ptr::with_exposed_provenance::<[u8; MAX_LENGTH]>(address).read() };
        return;
    }
    for (byte, at) in bytes.iter_mut().zip(address..) {
        // SAFETY: as above.
        *byte = unsafe { ptr::with_exposed_provenance::<u8>(at).read() };
    }
}

impl Layout {
    /// The physical mapping has all of these addresses, and they are private.
    fn has(&self, gpa: u64, bytes: usize) -> bool {
        matches!(Gpa::try_new(gpa, self.width), Ok(Gpa::Private(_)))
            && gpa.checked_add(bytes as u64).is_some_and(|end| end <= self.physical_end)
    }

    /// Where the processor's page tables lead.
    fn translate(&self, address: u64) -> Option<Translation> {
        let root = Cr3::read().0.start_address().as_u64();
        walk::translate(root, address, |entry| self.read(entry))
    }

    /// A page-table entry.
    fn read(&self, gpa: u64) -> Option<u64> {
        if !self.has(gpa, 8) {
            return None;
        }
        let at = ptr::with_exposed_provenance::<u64>((self.physical_offset + gpa) as usize);
        // SAFETY: the physical mapping has this private address, and entries are aligned;
        // volatile, because the mapper and the processor write them.
        Some(unsafe { at.read_volatile() })
    }
}

/// Bytes of code at `address` up to the page's end, at most 15, for messages; empty if it
/// can not be read.
pub(crate) fn code_at(address: u64) -> Code {
    let length = (PAGE_SIZE - address % PAGE_SIZE).min(MAX_LENGTH as u64) as usize;
    let mut code = Code { bytes: [0; MAX_LENGTH], length };
    if !ve::Memory::read_code(&Map, address, &mut code.bytes[..length]) {
        code.length = 0;
    }
    code
}

/// A few bytes of code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Code {
    bytes: [u8; MAX_LENGTH],
    length: usize,
}

impl core::ops::Deref for Code {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
