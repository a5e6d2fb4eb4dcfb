//! What the heap is made of: a free list for each area, which grows by units of 2 MiB.
//!
//! A unit is accepted when the list first reaches into it, so that only accepted memory is
//! ever handed out. A block comes from the lowest list that has room; if none has, the lowest
//! area that can grow enough does, by as few units as need be. What was accepted stays the
//! heap's.
//!
//! All of this runs in tests of the host: the physical mapping is an offset, the TDX module
//! an [`Accept`].
#![expect(unsafe_code, reason = "gives physical memory to the free lists")]

use core::alloc::Layout;
use core::ptr::{self, NonNull};

use abi::GpaWidth;
use bootloader_api::info::MemoryRegion;
use linked_list_allocator::Heap as FreeList;
use tdcall::accept::{Accept, AcceptError};

use super::areas::{Area, Areas, MAX_AREAS};
use super::unaccepted::{UNIT, Unaccepted};

/// Bytes beyond size and alignment that a block from a fresh unit can cost: the free list
/// rounds sizes up, and leaves no hole smaller than two words.
const OVERHEAD: u64 = 64;

/// The heap's memory.
pub(crate) struct Store {
    areas: [Growing; MAX_AREAS],
    /// Virtual address of physical address 0.
    offset: u64,
    /// None until memory is there for its bits, and if nothing is left to accept.
    unaccepted: Option<Unaccepted>,
}

/// An area and what its list has of it, by physical addresses.
struct Growing {
    list: FreeList,
    start: u64,
    /// The list has the memory below.
    next: u64,
    end: u64,
}

impl Store {
    /// Without memory: every allocation fails.
    pub(crate) const EMPTY: Self =
        Self { areas: [const { Growing::EMPTY }; MAX_AREAS], offset: 0, unaccepted: None };

    /// Fills an empty store: the accepted beginnings of `areas` are free.
    ///
    /// # Errors
    /// They have no room for a bit for each unit of unaccepted memory.
    ///
    /// # Safety
    /// `areas` are the areas of `regions`. At `offset` all of them are mapped and writable,
    /// and from now on they are the store's; what is called usable is accepted.
    pub(crate) unsafe fn init(
        &mut self,
        areas: &Areas,
        regions: &'static [MemoryRegion],
        width: GpaWidth,
        offset: u64,
    ) -> Result<(), NoRoom> {
        self.offset = offset;
        for (growing, area) in self.areas.iter_mut().zip(areas.list()) {
            let Area { start, accepted_end, end } = *area;
            *growing = Growing { list: FreeList::empty(), start, next: start, end };
            // SAFETY: the caller gives the area away; its beginning is accepted.
            unsafe { growing.extend(accepted_end, offset) };
        }
        let words = Unaccepted::words(regions);
        if words > 0 {
            let bits = self.bits(words).ok_or(NoRoom { bytes: words as u64 * 8 })?;
            self.unaccepted = Some(Unaccepted::new(regions, width, bits));
        }
        Ok(())
    }

    /// Words for ever, zero, from what is accepted.
    fn bits(&mut self, words: usize) -> Option<&'static mut [u64]> {
        let layout = Layout::array::<u64>(words).ok()?;
        let block = self.first_fit(layout)?.cast::<u64>();
        // SAFETY: the block has this size and alignment, is nobody else's, and is not freed.
        Some(unsafe {
            block.write_bytes(0, words);
            core::slice::from_raw_parts_mut(block.as_ptr(), words)
        })
    }

    /// A block; None if there is no memory for it.
    ///
    /// # Errors
    /// Memory cannot be accepted.
    pub(crate) fn allocate(
        &mut self,
        td: &mut impl Accept,
        layout: Layout,
    ) -> Result<Option<NonNull<u8>>, AcceptError> {
        if let Some(block) = self.first_fit(layout) {
            return Ok(Some(block));
        }
        // First areas whose growth is enough; then those where growth may join a free end.
        for can_hold in [Growing::can_grow_for, Growing::may_hold] {
            for index in 0..MAX_AREAS {
                let area = &self.areas[index];
                if area.next == area.end || !can_hold(area, layout) {
                    continue;
                }
                while self.grow(td, index, self.areas[index].missing(layout))? {
                    if let Ok(block) = self.areas[index].list.allocate_first_fit(layout) {
                        return Ok(Some(block));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Takes a block back.
    ///
    /// # Safety
    /// [`Self::allocate`] gave it for this layout, and nobody uses it any more.
    pub(crate) unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        let address = self.physical(block.addr().get());
        let area = self.areas.iter_mut().find(|area| area.has(address));
        let area = area.expect("a block that is freed came from the heap");
        // SAFETY: the block lies in this list's memory, so it came from this list.
        unsafe { area.list.deallocate(block, layout) };
    }

    /// Accepts one unit that is not needed yet. False: none is left.
    ///
    /// # Errors
    /// It cannot be accepted.
    pub(crate) fn accept_one(&mut self, td: &mut impl Accept) -> Result<bool, AcceptError> {
        let Some(unaccepted) = &mut self.unaccepted else { return Ok(false) };
        let Some(unit) = unaccepted.first() else { return Ok(false) };
        unaccepted.accept(td, unit)?;
        Ok(true)
    }

    /// Whether a virtual address lies in memory that the lists have.
    pub(crate) fn contains(&self, address: usize) -> bool {
        let address = self.physical(address);
        self.areas.iter().any(|area| area.has(address))
    }

    /// Whether the page of a guest-physical address is still to be accepted.
    pub(crate) fn is_unaccepted(&self, gpa: u64) -> bool {
        self.unaccepted.as_ref().is_some_and(|unaccepted| unaccepted.contains(gpa))
    }

    /// Bytes in use.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.areas.iter().map(|area| area.list.used() as u64).sum()
    }

    /// Bytes in all, accepted or not.
    pub(crate) fn bytes(&self) -> u64 {
        self.areas.iter().map(|area| area.end - area.start).sum()
    }

    /// Bytes of memory that is still to be accepted.
    pub(crate) fn unaccepted_bytes(&self) -> u64 {
        self.unaccepted.as_ref().map_or(0, Unaccepted::bytes)
    }

    fn first_fit(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let lists = self.areas.iter_mut().filter(|area| area.next > area.start);
        lists.map(|area| &mut area.list).find_map(|list| list.allocate_first_fit(layout).ok())
    }

    /// Gives a list the next units of its area, at most `bytes` but one unit at least, in one
    /// piece: the list writes into each that it gets. False: there is none.
    fn grow(
        &mut self,
        td: &mut impl Accept,
        index: usize,
        bytes: u64,
    ) -> Result<bool, AcceptError> {
        let area = &mut self.areas[index];
        if area.next == area.end {
            return Ok(false);
        }
        let end = (area.next.saturating_add(bytes) / UNIT).max(area.next / UNIT + 1) * UNIT;
        let end = end.min(area.end);
        let mut at = area.next;
        while at < end {
            if let Some(unaccepted) = &mut self.unaccepted
                && unaccepted.contains(at)
            {
                unaccepted.accept(td, at)?;
            }
            at = (at / UNIT + 1) * UNIT;
        }
        // SAFETY: `init` was given the area; this part of it is accepted.
        unsafe { area.extend(end, self.offset) };
        Ok(true)
    }

    const fn physical(&self, address: usize) -> u64 {
        (address as u64).wrapping_sub(self.offset)
    }
}

impl Growing {
    const EMPTY: Self = Self { list: FreeList::empty(), start: 0, next: 0, end: 0 };

    const fn has(&self, address: u64) -> bool {
        self.start <= address && address < self.next
    }

    /// The memory above the list can hold the block, wherever it begins.
    fn can_grow_for(&self, layout: Layout) -> bool {
        let room = self.end - self.next;
        let needed = (layout.size() as u64).checked_add(layout.align() as u64 + OVERHEAD);
        needed.is_some_and(|needed| needed <= room)
    }

    /// That and what is free in the list might.
    fn may_hold(&self, layout: Layout) -> bool {
        self.end - self.next + self.list.free() as u64 >= layout.size() as u64
    }

    /// Bytes that the list must get before it can have room for the block; it may need more.
    fn missing(&self, layout: Layout) -> u64 {
        layout.size().saturating_sub(self.list.free()) as u64
    }

    /// Gives the list the memory from `next` to `end`.
    ///
    /// # Safety
    /// It is the area's, mapped at `offset`, and accepted.
    unsafe fn extend(&mut self, end: u64, offset: u64) {
        let bytes = (end - self.next) as usize;
        if bytes == 0 {
            return;
        }
        if self.next == self.start {
            let bottom = ptr::with_exposed_provenance_mut((offset + self.next) as usize);
            // SAFETY: the list is empty, and the memory is the caller's to give.
            unsafe { self.list.init(bottom, bytes) };
        } else {
            // SAFETY: the memory follows the list's, and is the caller's to give.
            unsafe { self.list.extend(bytes) };
        }
        self.next = end;
    }
}

/// There is no accepted memory to note in what is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom {
    bytes: u64,
}

impl core::fmt::Display for NoRoom {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let bytes = self.bytes;
        write!(f, "accepted memory has no {bytes} bytes free, one bit for each unaccepted 2 MiB")
    }
}

impl core::error::Error for NoRoom {}

#[cfg(test)]
mod tests;
