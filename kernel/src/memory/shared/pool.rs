//! [`SharedPool`]: pieces of shared memory for drivers, and bounce buffers.
//!
//! Conversion costs calls of the host; a driver wants a page now and then. The pool converts
//! [`CHUNK_PAGES`] pages at once and cuts them into slots of whole pages. It grows by a chunk
//! when no slot is left, up to [`MAX_PAGES`], and does not shrink: a page that the host has
//! seen once is the best one to show it again.
//!
//! A device reaches shared memory alone. What it is to read or write elsewhere goes through a
//! slot, its bounce buffer: [`SharedPool::bounce`], then the device, then
//! [`SharedPool::copy_out`]. Slots are zeroed when they are given out, so that one driver's
//! bytes are not the next one's; the host has seen them in any case.

use alloc::vec::Vec;

use abi::PAGE_SIZE;
use spin::Mutex;

use super::error::{OutOfBounds, SharedError};
use super::pages::SharedPages;
use super::slots::Slots;

/// The pool of all drivers.
pub static POOL: Mutex<SharedPool> = Mutex::new(SharedPool::new());

/// Pages that are converted at once, unless a slot is larger.
pub const CHUNK_PAGES: usize = 64;

/// Pages of a pool, at most: 16 MiB.
pub const MAX_PAGES: usize = 4096;

/// Pages of the pool in a row, in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Where a device finds it: the guest-physical address without the SHARED bit.
    pub address: u64,
    /// How many pages.
    pub pages: usize,
    /// Linear address.
    linear: usize,
}

impl Slot {
    /// The first byte. Only for volatile accesses: the other side writes there, too.
    #[must_use]
    pub fn as_ptr(self) -> *mut u8 {
        core::ptr::with_exposed_provenance_mut(self.linear)
    }

    /// How many bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.pages * PAGE_SIZE as usize
    }
}

/// Where a pool's pages come from.
pub(super) trait Area: Sized {
    fn new(pages: usize) -> Result<Self, SharedError>;
    fn address(&self) -> u64;
    fn linear(&self) -> usize;
    fn copy_out(&self, offset: usize, bytes: &mut [u8]) -> Result<(), OutOfBounds>;
    fn copy_in(&mut self, offset: usize, bytes: &[u8]) -> Result<(), OutOfBounds>;
    fn zero(&mut self, offset: usize, bytes: usize) -> Result<(), OutOfBounds>;
}

/// A pool of shared pages; empty, and without cost, until the first slot is asked for.
#[derive(Debug)]
pub struct SharedPool(Pool<SharedPages>);

impl SharedPool {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self(Pool { chunks: Vec::new() })
    }

    /// A slot of `pages` pages, zeros.
    ///
    /// # Errors
    /// The pool is full, or could not grow.
    pub fn alloc(&mut self, pages: usize) -> Result<Slot, SharedError> {
        self.0.alloc(pages)
    }

    /// Takes a slot back. False: it is not in use, or not the pool's.
    #[must_use = "a slot that was not in use is a mistake of its owner"]
    pub fn free(&mut self, slot: Slot) -> bool {
        self.0.free(slot)
    }

    /// A slot with a copy of `bytes`, whole pages as many as it takes: a bounce buffer.
    ///
    /// # Errors
    /// As [`SharedPool::alloc`]; `bytes` is not empty.
    pub fn bounce(&mut self, bytes: &[u8]) -> Result<Slot, SharedError> {
        let slot = self.alloc(bytes.len().div_ceil(PAGE_SIZE as usize))?;
        let copied = self.0.copy_in(slot, bytes);
        debug_assert!(copied.is_ok(), "the slot is as large as the bytes: {copied:?}");
        Ok(slot)
    }

    /// Copies bytes to the start of a slot.
    ///
    /// # Errors
    /// They do not fit; nothing was copied.
    pub fn copy_in(&mut self, slot: Slot, bytes: &[u8]) -> Result<(), OutOfBounds> {
        self.0.copy_in(slot, bytes)
    }

    /// Copies bytes from the start of a slot.
    ///
    /// # Errors
    /// It has not so many; nothing was copied.
    pub fn copy_out(&self, slot: Slot, bytes: &mut [u8]) -> Result<(), OutOfBounds> {
        self.0.copy_out(slot, bytes)
    }

    /// The slot in use that a device knows by this address.
    #[must_use]
    pub fn slot(&self, address: u64, pages: usize) -> Option<Slot> {
        self.0.slot(address, pages)
    }

    /// Pages of all chunks, and pages in use.
    #[must_use]
    pub fn pages(&self) -> (usize, usize) {
        let sum = |count: fn(&Slots) -> usize| self.0.chunks.iter().map(|c| count(&c.slots)).sum();
        (sum(Slots::pages), sum(Slots::used))
    }
}

impl Default for SharedPool {
    fn default() -> Self {
        Self::new()
    }
}

/// The pool over any area.
#[derive(Debug)]
struct Pool<A> {
    chunks: Vec<Chunk<A>>,
}

#[derive(Debug)]
struct Chunk<A> {
    area: A,
    slots: Slots,
}

impl<A: Area> Chunk<A> {
    /// Takes a slot.
    fn take(&mut self, pages: usize) -> Option<Slot> {
        let first = self.slots.take(pages)?;
        let offset = first * PAGE_SIZE as usize;
        let slot = self.at(first, pages);
        self.area.zero(offset, slot.bytes()).ok().map(|()| slot)
    }

    fn at(&self, first: usize, pages: usize) -> Slot {
        let offset = first * PAGE_SIZE as usize;
        let (address, linear) = (self.area.address() + offset as u64, self.area.linear() + offset);
        Slot { address, pages, linear }
    }

    /// The number of the page at a device's address.
    fn page(&self, address: u64) -> Option<usize> {
        let offset = address.checked_sub(self.area.address())?;
        let is_page = offset.is_multiple_of(PAGE_SIZE);
        is_page.then_some((offset / PAGE_SIZE) as usize).filter(|page| *page < self.slots.pages())
    }
}

impl<A: Area> Pool<A> {
    fn alloc(&mut self, pages: usize) -> Result<Slot, SharedError> {
        if let Some(slot) = self.chunks.iter_mut().find_map(|chunk| chunk.take(pages)) {
            return Ok(slot);
        }
        let full = SharedError::PoolFull { pages };
        let have: usize = self.chunks.iter().map(|chunk| chunk.slots.pages()).sum();
        let left = MAX_PAGES.saturating_sub(have);
        if pages == 0 || pages > left {
            return Err(full);
        }
        let size = pages.max(CHUNK_PAGES.min(left));
        let mut chunk = Chunk { area: A::new(size)?, slots: Slots::new(size) };
        let slot = chunk.take(pages).ok_or(full);
        self.chunks.push(chunk);
        slot
    }

    fn free(&mut self, slot: Slot) -> bool {
        let found =
            self.chunks.iter_mut().find_map(|chunk| Some((chunk.page(slot.address)?, chunk)));
        found.is_some_and(|(first, chunk)| chunk.slots.give_back(first, slot.pages))
    }

    fn slot(&self, address: u64, pages: usize) -> Option<Slot> {
        let (chunk, first) = self.find(address)?;
        chunk.slots.has(first, pages).then(|| chunk.at(first, pages))
    }

    fn find(&self, address: u64) -> Option<(&Chunk<A>, usize)> {
        self.chunks.iter().find_map(|chunk| Some((chunk, chunk.page(address)?)))
    }

    fn copy_in(&mut self, slot: Slot, bytes: &[u8]) -> Result<(), OutOfBounds> {
        let none = beyond(slot, bytes.len());
        let mut chunks = self.chunks.iter_mut();
        let found = chunks.find_map(|chunk| Some((chunk.page(slot.address)?, chunk)));
        match found {
            Some((first, chunk)) if bytes.len() <= slot.bytes() => {
                chunk.area.copy_in(first * PAGE_SIZE as usize, bytes)
            }
            _ => Err(none),
        }
    }

    fn copy_out(&self, slot: Slot, bytes: &mut [u8]) -> Result<(), OutOfBounds> {
        match self.find(slot.address) {
            Some((chunk, first)) if bytes.len() <= slot.bytes() => {
                chunk.area.copy_out(first * PAGE_SIZE as usize, bytes)
            }
            _ => Err(beyond(slot, bytes.len())),
        }
    }
}

const fn beyond(slot: Slot, bytes: usize) -> OutOfBounds {
    OutOfBounds { offset: 0, bytes, len: slot.bytes() }
}

impl Area for SharedPages {
    fn new(pages: usize) -> Result<Self, SharedError> {
        Self::new(pages)
    }

    fn address(&self) -> u64 {
        self.address()
    }

    fn linear(&self) -> usize {
        self.as_ptr().addr()
    }

    fn copy_out(&self, offset: usize, bytes: &mut [u8]) -> Result<(), OutOfBounds> {
        self.copy_out(offset, bytes)
    }

    fn copy_in(&mut self, offset: usize, bytes: &[u8]) -> Result<(), OutOfBounds> {
        self.copy_in(offset, bytes)
    }

    fn zero(&mut self, offset: usize, bytes: usize) -> Result<(), OutOfBounds> {
        self.zero(offset, bytes)
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
