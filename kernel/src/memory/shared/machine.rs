//! The machine that conversion works on: the heap, the live page tables, TDCALL.
//!
//! A private page is at its place in the physical mapping. Its shared half is at the same
//! distance from the start of a window of its own, so that a linear address of the window
//! leads to one shared page for ever, and a stale translation to no other.
#![expect(unsafe_code, reason = "pages of the heap, and their conversion")]

use core::alloc::Layout as BlockLayout;
use core::ptr;

use abi::{PAGE_SIZE, PageLevel, PrivateGpa, Status};
use tdcall::accept::{Accept, AcceptError, Accepted, accept_range};
use tdcall::ghci::MapGpaError;
use x86_64::structures::paging::PageTableFlags as Flags;

use super::super::live::Live;
use super::super::tables::{self, TableError, Tables};
use super::convert::{Block, Machine};
use super::{copy, window};
use crate::td::Td;

/// What a shared page may be.
const SHARED: Flags = Flags::WRITABLE.union(Flags::NO_EXECUTE);

pub(super) struct Real {
    live: Live,
    /// Linear address of the shared half of page 0.
    window: u64,
}

impl Real {
    /// None before memory is initialized.
    pub(super) fn lock() -> Option<Self> {
        Some(Self { window: window::base()?, live: Live::lock()? })
    }

    /// Linear address of the shared half of a block.
    pub(super) fn linear(&self, block: Block) -> u64 {
        self.shared(block.start.bits())
    }

    /// Linear address of a private page.
    fn private(&self, gpa: u64) -> u64 {
        self.live.layout().physical_offset + gpa
    }

    /// Linear address of the shared half of a page.
    fn shared(&self, gpa: u64) -> u64 {
        self.window + gpa
    }

    /// Changes the presence of all pages; the first error.
    fn set_present(
        &mut self,
        block: Block,
        is_present: bool,
        to_linear: fn(&Self, u64) -> u64,
    ) -> Result<(), TableError> {
        let mut result = Ok(());
        for gpa in block.gpas() {
            let address = to_linear(self, gpa);
            result = result.and(tables::set_present(&mut self.live, address, is_present));
        }
        result
    }
}

impl Machine for Real {
    fn allocate(&mut self, pages: usize) -> Option<Block> {
        let layout = layout(pages)?;
        // SAFETY: the layout is of at least one page.
        let block = unsafe { alloc::alloc::alloc(layout) };
        let offset = self.live.layout().physical_offset;
        let address = (block.expose_provenance() as u64).checked_sub(offset)?;
        let found = Block::new(address, pages, self.live.layout().width);
        if let Some(found) = found.filter(|found| found.end() <= window::BYTES) {
            return Some(found);
        }
        // SAFETY: the block was given out just now, for this layout.
        unsafe { alloc::alloc::dealloc(block, layout) };
        None
    }

    fn free(&mut self, block: Block) {
        let Some(layout) = layout(block.pages) else { return };
        let address = self.private(block.start.bits());
        let block = ptr::with_exposed_provenance_mut(address as usize);
        // SAFETY: `allocate` gave the block out for this layout; it is private memory of the
        // physical mapping again, or never was anything else.
        unsafe { alloc::alloc::dealloc(block, layout) };
    }

    fn prepare(&mut self, block: Block) -> Result<(), TableError> {
        for gpa in block.gpas() {
            let (private, address) = (self.private(gpa), self.shared(gpa));
            tables::prepare(&mut self.live, private)?;
            let entry = gpa | block.shared_bit() | SHARED.bits();
            tables::prepare(&mut self.live, address)?;
            tables::set(&mut self.live, address, entry)?;
        }
        Ok(())
    }

    fn zero_private(&mut self, block: Block) {
        let at = ptr::with_exposed_provenance_mut::<u8>(self.private(block.start.bits()) as usize);
        // SAFETY: a block of the heap that nobody else has, in the physical mapping.
        unsafe { at.write_bytes(0, block.bytes()) };
        // The bytes are looked at by another, in the end: they are not to stay in a register
        // or to be left out.
        core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
    }

    fn map_private(&mut self, block: Block, is_present: bool) -> Result<(), TableError> {
        self.set_present(block, is_present, Self::private)
    }

    fn flush_private(&mut self, block: Block) {
        block.gpas().for_each(|gpa| self.live.flush(self.private(gpa)));
    }

    fn ask_shared(&mut self, block: Block) -> Result<(), MapGpaError> {
        // SAFETY: the block is the heap's, given out to the caller, and no object is in it;
        // nothing reads its private half until it is accepted again.
        unsafe { Td.map_gpa(block.shared) }
    }

    fn map_shared(&mut self, block: Block, is_present: bool) -> Result<(), TableError> {
        self.set_present(block, is_present, Self::shared)
    }

    fn flush_shared(&mut self, block: Block) {
        block.gpas().for_each(|gpa| self.live.flush(self.shared(gpa)));
    }

    fn zero_shared(&mut self, block: Block) {
        // SAFETY: the block's shared half, mapped, and nobody else's yet.
        unsafe { copy::zero(self.linear(block), block.bytes()) };
    }

    fn ask_private(&mut self, block: Block) -> Result<(), MapGpaError> {
        // SAFETY: as above; the shared half goes with its owner.
        unsafe { Td.map_gpa(block.private) }
    }

    fn accept(&mut self, block: Block) -> Result<(), AcceptError> {
        let range = block.start.bits()..block.end();
        accept_range(&mut Pending, range, self.live.layout().width, &mut Accepted::default())
    }

    fn find_byte(&mut self, block: Block) -> Option<u64> {
        let start = self.private(block.start.bits());
        let words = block.bytes() / size_of::<u64>();
        (0..words).map(|word| (word * size_of::<u64>()) as u64).find_map(|at| {
            let word = ptr::with_exposed_provenance::<u64>((start + at) as usize);
            // SAFETY: a block of the heap that nobody else has, in the physical mapping,
            // and aligned; volatile, because the module wrote it.
            (unsafe { word.read_volatile() } != 0).then(|| block.start.bits() + at)
        })
    }
}

/// Pages of a block that the host was asked to make private.
struct Pending;

impl Accept for Pending {
    fn mem_page_accept(&mut self, gpa: PrivateGpa, level: PageLevel) -> Status {
        // SAFETY: of a block in conversion, in which there is no object. That the host gives
        // the page is not certain; without it the run ends here.
        unsafe { Td.mem_page_accept(gpa, level) }
    }
}

/// The layout of so many pages, at least one.
fn layout(pages: usize) -> Option<BlockLayout> {
    let bytes = pages.checked_mul(PAGE_SIZE as usize).filter(|bytes| *bytes != 0)?;
    BlockLayout::from_size_align(bytes, PAGE_SIZE as usize).ok()
}
