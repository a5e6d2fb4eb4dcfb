//! RAM by physical address, where no Rust object lies.
//!
//! Some of it belongs to the module or to a TD at times: touching that is a machine check,
//! not undefined behaviour, because nothing in Rust is there.

#![expect(unsafe_code, reason = "reads and writes physical memory")]

use core::ptr;

fn word(at: u64) -> *mut u64 {
    ptr::with_exposed_provenance_mut(at as usize)
}

/// The quadword at `at`, which is aligned RAM of a [`crate::place::Pool`].
#[must_use]
pub fn read(at: u64) -> u64 {
    // SAFETY: RAM outside every Rust object, by the contract of `Pool`.
    unsafe { word(at).read_volatile() }
}

/// Writes `values` from `at` on, which is aligned RAM of a [`crate::place::Pool`].
pub fn write(at: u64, values: &[u64]) {
    for (index, value) in values.iter().enumerate() {
        // SAFETY: RAM outside every Rust object, by the contract of `Pool`.
        unsafe { word(at).add(index).write_volatile(*value) };
    }
}

/// Zeroes the page at `at` of a [`crate::place::Pool`].
pub fn zero(at: u64) {
    write(at, &[0; 512]);
}

/// Writes `bytes`, whole quadwords, from `at` on, which is aligned RAM of a
/// [`crate::place::Pool`].
pub fn write_bytes(at: u64, bytes: &[u8]) {
    for (index, word) in (0..).zip(bytes.as_chunks().0) {
        write(at + 8 * index, &[u64::from_le_bytes(*word)]);
    }
}
