//! RAM by physical address, where no Rust object lies.
#![expect(unsafe_code, reason = "reads and writes physical memory")]

use core::{ptr, slice};

use abi::Hpa;
use vmm::ram::{Range, Ranges};
use vmm::seam::Memory;
use vmm::tdmr::MAX_RANGES;

/// The RAM that was free when the VMM started, less the image. Some of it belongs to the
/// module or to a TD by now: touching that is a machine check, not undefined behaviour,
/// because nothing in Rust is there.
#[derive(Debug)]
pub(super) struct Ram(Ranges<MAX_RANGES>);

impl Ram {
    /// Access to `free`.
    pub(super) fn new(free: &Ranges<MAX_RANGES>) -> Self {
        Self(free.clone())
    }

    /// A pointer to `len` bytes at `at`.
    ///
    /// # Panics
    /// They are not all in the VMM's memory: a bug of the VMM.
    fn pointer(&self, at: Hpa, len: u64) -> *mut u8 {
        let wanted = Range::new(at.bits(), at.bits() + len);
        let is_ram = |range: &Range| range.intersection(wanted) == wanted;
        assert!(self.0.as_slice().iter().any(is_ram), "{wanted:?} is not the VMM's memory");
        ptr::with_exposed_provenance_mut(at.bits() as usize)
    }

    /// A pointer to the quadword at `at`.
    ///
    /// # Panics
    /// As [`Self::pointer`], and if it is not aligned.
    fn word(&self, at: Hpa) -> *mut u64 {
        assert!(at.is_aligned_to(8), "{at:?} is not aligned");
        let byte = self.pointer(at, 8);
        ptr::with_exposed_provenance_mut(byte.addr())
    }
}

impl Memory for Ram {
    fn read(&self, at: Hpa, buf: &mut [u8]) {
        let from = self.pointer(at, buf.len() as u64);
        for (offset, byte) in buf.iter_mut().enumerate() {
            // SAFETY: RAM outside every Rust object, checked above.
            *byte = unsafe { from.add(offset).read_volatile() };
        }
    }

    fn write(&mut self, at: Hpa, bytes: &[u8]) {
        let to = self.pointer(at, bytes.len() as u64);
        for (offset, byte) in bytes.iter().enumerate() {
            // SAFETY: RAM outside every Rust object, checked above.
            unsafe { to.add(offset).write_volatile(*byte) };
        }
    }

    fn read_u64(&self, at: Hpa) -> u64 {
        // SAFETY: RAM outside every Rust object, checked by `word`.
        unsafe { self.word(at).read_volatile() }
    }

    fn count(&self, at: Hpa, len: u64, word: u64) -> u64 {
        let from = self.word(at);
        let _all: *mut u8 = self.pointer(at, len);
        let words = (0..len as usize / 8).filter(|index| {
            // SAFETY: RAM outside every Rust object, checked above.
            word == unsafe { from.add(*index).read_volatile() }
        });
        words.count() as u64
    }

    fn write_u64(&mut self, at: Hpa, value: u64) {
        // SAFETY: RAM outside every Rust object, checked by `word`.
        unsafe { self.word(at).write_volatile(value) };
    }

    fn zero(&mut self, at: Hpa, len: u64) {
        let to = self.pointer(at, len);
        // SAFETY: RAM outside every Rust object, checked above.
        unsafe { arch::zero::clear(to, len as usize) };
    }
}

/// `len` bytes at the start of `range`, as Rust's own.
///
/// `range` was taken out of the free memory for this, and is not given back.
pub(super) fn claim(range: Range, len: usize) -> &'static mut [u8] {
    let len = len.min(range.len() as usize);
    let start = ptr::with_exposed_provenance_mut::<u8>(range.start as usize);
    // SAFETY: RAM, identity-mapped; taken out of the free memory, so nobody else has it.
    unsafe { start.write_bytes(0, len) };
    // SAFETY: as above; initialised by the line before.
    unsafe { slice::from_raw_parts_mut(start, len) }
}
