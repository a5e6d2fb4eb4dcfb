//! Copies between shared and private memory.
//!
//! The other side may change shared memory at any moment: each byte is accessed once, by
//! volatile reads and writes, and no reference into it is made. Where the bytes allow it,
//! eight go at once.
#![expect(unsafe_code, reason = "shared memory")]

use core::ptr;

/// Bytes of a word.
const WORD: usize = size_of::<u64>();

/// Copies `bytes` bytes of shared memory at a linear address.
///
/// # Safety
/// The address is that of so many mapped bytes of shared memory, and `to` of so many that may
/// be written; they need not be initialized.
pub(super) unsafe fn out(from: u64, to: *mut u8, bytes: usize) {
    let from = from as usize;
    let mut at = 0;
    while at < bytes {
        // SAFETY: a byte of it is left.
        let to = unsafe { to.add(at) };
        if (from + at).is_multiple_of(WORD) && bytes - at >= WORD {
            let from = ptr::with_exposed_provenance::<u64>(from + at);
            // SAFETY: a word of the shared memory is left, and it is aligned.
            let word = unsafe { from.read_volatile() };
            // SAFETY: a word of the other is left.
            unsafe { to.cast::<[u8; WORD]>().write(word.to_ne_bytes()) };
            at += WORD;
        } else {
            let from = ptr::with_exposed_provenance::<u8>(from + at);
            // SAFETY: a byte of both is left.
            unsafe { to.write(from.read_volatile()) };
            at += 1;
        }
    }
}

/// Copies bytes into shared memory at a linear address.
///
/// # Safety
/// The address is that of so many mapped bytes of shared memory.
pub(super) unsafe fn into(to: u64, from: &[u8]) {
    let mut at = to as usize;
    let mut rest = from;
    while let Some((byte, behind)) = rest.split_first() {
        match rest.split_first_chunk::<WORD>() {
            Some((word, behind)) if at.is_multiple_of(WORD) => {
                let to = ptr::with_exposed_provenance_mut::<u64>(at);
                // SAFETY: a word of the shared memory is left, and it is aligned.
                unsafe { to.write_volatile(u64::from_ne_bytes(*word)) };
                (rest, at) = (behind, at + WORD);
            }
            _ => {
                let to = ptr::with_exposed_provenance_mut::<u8>(at);
                // SAFETY: a byte of the shared memory is left.
                unsafe { to.write_volatile(*byte) };
                (rest, at) = (behind, at + 1);
            }
        }
    }
}

/// Zeros bytes of shared memory at a linear address.
///
/// # Safety
/// The address is that of so many mapped bytes of shared memory.
pub(super) unsafe fn zero(to: u64, bytes: usize) {
    const ZEROS: [u8; 256] = [0; 256];
    let mut at = 0;
    while at < bytes {
        let some = &ZEROS[..ZEROS.len().min(bytes - at)];
        // SAFETY: it lies inside what the caller says.
        unsafe { into(to + at as u64, some) };
        at += some.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_byte_arrives_whatever_the_alignment() {
        let source: Vec<u8> = (1..=100).collect();
        for start in 0..9 {
            for bytes in 0..40 {
                let mut shared = [0_u8; 100];
                let address = (&raw mut shared[start]).expose_provenance() as u64;
                // SAFETY: these bytes of the vector.
                unsafe { into(address, &source[..bytes]) };
                assert_eq!(shared[start..start + bytes], source[..bytes]);
                assert!(shared[..start].iter().chain(&shared[start + bytes..]).all(|b| *b == 0));
                let mut copy = [0xAA_u8; 40];
                // SAFETY: these bytes of both vectors.
                unsafe { out(address, copy.as_mut_ptr(), bytes) };
                assert_eq!(copy[..bytes], source[..bytes]);
                assert!(copy[bytes..].iter().all(|byte| *byte == 0xAA));
                // SAFETY: these bytes of the vector.
                unsafe { zero(address, bytes) };
                assert!(shared.iter().all(|byte| *byte == 0));
            }
        }
    }
}
