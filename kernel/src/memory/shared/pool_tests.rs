//! The pool over areas that are vectors.

use core::cell::Cell;
use std::collections::BTreeSet;
use std::thread_local;
use std::vec;

use super::*;

const PAGE: usize = PAGE_SIZE as usize;

thread_local! {
    /// Areas made, and areas that may still be made.
    static MADE: Cell<usize> = const { Cell::new(0) };
    static MAY_MAKE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Areas at multiples of 64 MiB, full of another's bytes.
struct Fake {
    address: u64,
    bytes: Vec<u8>,
}

impl Area for Fake {
    fn new(pages: usize) -> Result<Self, SharedError> {
        if MAY_MAKE.get() == 0 {
            return Err(SharedError::NoMemory { pages });
        }
        MAY_MAKE.set(MAY_MAKE.get() - 1);
        MADE.set(MADE.get() + 1);
        Ok(Self { address: (MADE.get() as u64) << 26, bytes: vec![0xEE; pages * PAGE] })
    }

    fn address(&self) -> u64 {
        self.address
    }

    fn linear(&self) -> usize {
        self.address as usize + 0x1_0000_0000
    }

    fn copy_out(&self, offset: usize, bytes: &mut [u8]) -> Result<(), OutOfBounds> {
        bytes.copy_from_slice(&self.bytes[offset..offset + bytes.len()]);
        Ok(())
    }

    fn copy_in(&mut self, offset: usize, bytes: &[u8]) -> Result<(), OutOfBounds> {
        self.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn zero(&mut self, offset: usize, bytes: usize) -> Result<(), OutOfBounds> {
        self.bytes[offset..offset + bytes].fill(0);
        Ok(())
    }
}

fn pool() -> Pool<Fake> {
    MAY_MAKE.set(usize::MAX);
    Pool { chunks: Vec::new() }
}

fn content(pool: &Pool<Fake>, slot: Slot) -> Vec<u8> {
    let mut bytes = vec![0xCC; slot.bytes()];
    pool.copy_out(slot, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_slot_is_zero_and_keeps_its_bytes_from_the_others() {
    let mut pool = pool();
    let slots = [1, 2, 3].map(|pages| pool.alloc(pages).unwrap());
    for (slot, fill) in slots.into_iter().zip(1..) {
        assert!(content(&pool, slot).iter().all(|byte| *byte == 0));
        pool.copy_in(slot, &vec![fill; slot.bytes()]).unwrap();
    }
    for (slot, fill) in slots.into_iter().zip(1..) {
        assert!(content(&pool, slot).iter().all(|byte| *byte == fill));
    }
    assert!(pool.free(slots[1]));
    assert_eq!(pool.alloc(2), Ok(slots[1]));
    assert!(content(&pool, slots[1]).iter().all(|byte| *byte == 0), "the one before is gone");
}

#[test]
fn it_grows_by_chunks_and_not_beyond_its_bound() {
    let mut pool = pool();
    let mut pages = BTreeSet::new();
    while let Ok(slot) = pool.alloc(1) {
        assert_eq!(slot.as_ptr().addr() as u64, slot.address + 0x1_0000_0000);
        assert!(pages.insert(slot.address), "{:#x} twice", slot.address);
    }
    assert_eq!(pages.len(), MAX_PAGES);
    assert_eq!(pool.chunks.len(), MAX_PAGES / CHUNK_PAGES);
    assert_eq!(pool.alloc(1), Err(SharedError::PoolFull { pages: 1 }));
}

#[test]
fn a_large_slot_has_a_chunk_of_its_own_and_a_larger_one_is_refused() {
    let mut pool = pool();
    let slot = pool.alloc(CHUNK_PAGES + 1).unwrap();
    assert_eq!(slot.pages, CHUNK_PAGES + 1);
    for pages in [0, MAX_PAGES, usize::MAX] {
        assert_eq!(pool.alloc(pages), Err(SharedError::PoolFull { pages }));
    }
    assert!(pool.alloc(MAX_PAGES - CHUNK_PAGES - 1).is_ok());
}

#[test]
fn a_host_that_does_not_convert_is_an_error_and_the_rest_goes_on() {
    let mut pool = pool();
    let slot = pool.alloc(CHUNK_PAGES).unwrap();
    MAY_MAKE.set(0);
    assert_eq!(pool.alloc(2), Err(SharedError::NoMemory { pages: CHUNK_PAGES }));
    assert!(pool.free(slot));
    assert!(pool.alloc(2).is_ok());
}

#[test]
fn a_slot_is_found_by_the_devices_address_and_freed_once() {
    let mut pool = pool();
    let slot = pool.alloc(2).unwrap();
    assert_eq!(pool.slot(slot.address, 2), Some(slot));
    assert_eq!(pool.slot(slot.address, 3), None);
    assert_eq!(pool.slot(slot.address + 1, 1), None);
    assert_eq!(pool.slot(slot.address + 2 * PAGE_SIZE, 1), None);
    assert!(!pool.free(Slot { address: slot.address + 1, ..slot }));
    assert!(pool.free(slot));
    assert!(!pool.free(slot));
    assert_eq!(pool.slot(slot.address, 2), None);
}

#[test]
fn a_copy_keeps_to_its_slot() {
    let mut pool = pool();
    let [slot, next] = [1, 1].map(|pages| pool.alloc(pages).unwrap());
    let mut long = vec![0xAA; PAGE + 1];
    let beyond = OutOfBounds { offset: 0, bytes: PAGE + 1, len: PAGE };
    assert_eq!(pool.copy_in(slot, &long), Err(beyond));
    assert_eq!(pool.copy_out(slot, &mut long), Err(beyond));
    assert!(content(&pool, next).iter().chain(&content(&pool, slot)).all(|byte| *byte == 0));
    let nowhere = Slot { address: 0x1000, ..slot };
    assert!(pool.copy_out(nowhere, &mut [0]).is_err() && pool.copy_in(nowhere, &[0]).is_err());
}
