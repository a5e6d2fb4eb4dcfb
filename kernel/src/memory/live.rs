//! The page tables in use, through the physical mapping.
#![expect(unsafe_code, reason = "page tables")]

use alloc::alloc::alloc_zeroed;
use core::alloc::Layout as BlockLayout;
use core::ptr;

use abi::PAGE_SIZE;
use spin::{Mutex, MutexGuard};
use x86_64::VirtAddr;
use x86_64::instructions::tlb;
use x86_64::registers::control::Cr3;

use super::tables::Tables;
use super::{CODE_PAGE, LAYOUT, Layout, NO_CODE_PAGE};

/// A page, and its alignment.
pub(super) const PAGE: BlockLayout =
    match BlockLayout::from_size_align(PAGE_SIZE as usize, PAGE_SIZE as usize) {
        Ok(layout) => layout,
        Err(_) => panic!("a page is a layout"),
    };

static CHANGES: Mutex<()> = Mutex::new(());

/// The right to change the page tables: one at a time. Trap handlers do not ask for it.
pub(crate) struct Live {
    layout: Layout,
    _only: MutexGuard<'static, ()>,
}

impl Live {
    /// None before `init`. Waits for another one to go.
    pub(crate) fn lock() -> Option<Self> {
        let layout = *LAYOUT.get()?;
        Some(Self { layout, _only: CHANGES.lock() })
    }

    /// Where the physical mapping is.
    pub(crate) const fn layout(&self) -> &Layout {
        &self.layout
    }
}

impl Tables for Live {
    fn root(&self) -> u64 {
        Cr3::read().0.start_address().as_u64()
    }

    fn read(&self, at: u64) -> Option<u64> {
        self.layout.read(at)
    }

    fn write(&mut self, at: u64, entry: u64) {
        debug_assert!(self.layout.has(at, 8), "a table at {at:#x}");
        let at = (self.layout.physical_offset + at) as usize;
        // SAFETY: the caller reads this entry, so the physical mapping has its private
        // address, and entries are aligned; `_only` says that nobody else changes it now.
        // What it maps is the caller's to say, who changes mappings of pages that it owns.
        unsafe { ptr::with_exposed_provenance_mut::<u64>(at).write_volatile(entry) };
    }

    fn new_table(&mut self) -> Option<u64> {
        // SAFETY: the layout has a size.
        let table = unsafe { alloc_zeroed(PAGE) };
        // The heap is a part of the physical mapping.
        (!table.is_null()).then(|| table.expose_provenance() as u64 - self.layout.physical_offset)
    }

    fn flush(&mut self, address: u64) {
        tlb::flush(VirtAddr::new_truncate(address));
        // What was found out of a page by its old mapping is not true any more.
        CODE_PAGE.store(NO_CODE_PAGE, core::sync::atomic::Ordering::Relaxed);
    }
}
