//! A few bytes of private memory, by linear address, read and written in the physical mapping.
#![expect(unsafe_code, reason = "the physical mapping")]

use core::ptr;

use abi::PAGE_SIZE;

use super::LAYOUT;
use super::walk::Translation;

/// A few bytes of private memory by linear address, on one page or on two.
pub(super) struct Pages {
    pub(super) first: Bytes,
    pub(super) second: Bytes,
    /// How many bytes are on the first page.
    pub(super) split: usize,
}

impl Pages {
    /// `bytes` bytes, at most a page, at `address`. None unless all of them are mapped,
    /// private, and such as `is_allowed` wants them.
    pub(super) fn of(
        address: u64,
        bytes: usize,
        is_allowed: fn(Translation) -> bool,
    ) -> Option<Self> {
        let split = bytes.min((PAGE_SIZE - address % PAGE_SIZE) as usize);
        let first = Bytes::at(address, split, is_allowed)?;
        if split == bytes {
            return Some(Self { first, second: first, split });
        }
        let second = Bytes::at(address.wrapping_add(split as u64), bytes - split, is_allowed)?;
        Some(Self { first, second, split })
    }
}

/// Bytes on one page, in the physical mapping.
#[derive(Clone, Copy)]
pub(super) struct Bytes(usize);

impl Bytes {
    pub(super) fn at(
        address: u64,
        bytes: usize,
        is_allowed: fn(Translation) -> bool,
    ) -> Option<Self> {
        let layout = LAYOUT.get()?;
        let to = layout.translate(address)?;
        let is_there = layout.has(to.gpa, bytes) && is_allowed(to);
        is_there.then_some(Self((layout.physical_offset + to.gpa) as usize))
    }

    pub(super) fn copy_out(self, bytes: &mut [u8]) {
        for (byte, at) in bytes.iter_mut().zip(self.0..) {
            // SAFETY: `at` said that the physical mapping has this private address; what is
            // read is the interrupted instruction's own code or operand.
            *byte = unsafe { ptr::with_exposed_provenance::<u8>(at).read_volatile() };
        }
    }

    pub(super) fn copy_in(self, bytes: &[u8]) {
        for (byte, at) in bytes.iter().zip(self.0..) {
            // SAFETY: `at` said that the physical mapping has this private address and that
            // the interrupted instruction may write it; it is that instruction's operand.
            unsafe { ptr::with_exposed_provenance_mut::<u8>(at).write_volatile(*byte) };
        }
    }
}
