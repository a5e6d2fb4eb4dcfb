//! Clearing memory that is mostly zero already.
//!
//! A machine's RAM starts as zeros, and an emulator's host gives a page of its own only to
//! what is written. So [`clear`] looks first, and writes only in the 4 KiB pieces that hold
//! something.
//!
//! No string instructions: under TCG each of their iterations costs several times what a
//! move costs. Quadwords and not XMM registers: TCG makes two loads, and two stores to
//! its own memory, of a load of 16 bytes.
#![expect(unsafe_code, reason = "reads and writes raw memory")]

use core::arch::asm;

/// Bytes of one round of a loop.
const LINE: usize = 256;
/// Bytes that are written when one of them is not zero.
const PIECE: usize = 4096;

/// Makes the `len` bytes at `start` zero.
///
/// # Safety
/// The bytes can be read and written, and no Rust reference to any of them is alive.
pub unsafe fn clear(start: *mut u8, len: usize) {
    let before = start.align_offset(LINE).min(len);
    let lines = (len - before) / LINE;
    let after = before + lines * LINE;
    // SAFETY: a part of the caller's bytes.
    unsafe { clear_bytes(start, before) };
    let mut at = before;
    while at < after {
        let address = start.addr() + at;
        let piece = (PIECE - address % PIECE).min(after - at);
        // SAFETY: lines inside the caller's bytes.
        unsafe { clear_lines(start.add(at), piece / LINE) };
        at += piece;
    }
    // SAFETY: a part of the caller's bytes, or their end.
    unsafe { clear_bytes(start.add(after), len - after) };
}

/// # Safety
/// As [`clear`].
unsafe fn clear_bytes(start: *mut u8, len: usize) {
    for index in 0..len {
        // SAFETY: inside the caller's bytes.
        unsafe { start.add(index).write_volatile(0) };
    }
}

/// # Safety
/// As [`clear`], for `lines` lines.
unsafe fn clear_lines(start: *mut u8, lines: usize) {
    // SAFETY: as the caller promises.
    let zero = unsafe { zero_lines(start, lines) };
    // SAFETY: the lines behind those, at most to their end.
    unsafe { write_lines(start.wrapping_add(zero * LINE), lines - zero) };
}

/// How many of the first lines are zero.
///
/// # Safety
/// As [`clear_lines`].
unsafe fn zero_lines(start: *const u8, lines: usize) -> usize {
    let mut left = lines;
    if left != 0 {
        // SAFETY: reads `lines` lines at most; changes nothing.
        unsafe {
            asm!(
                "2:",
                "xor {word:e}, {word:e}",
                ".set tdlet_at, 0",
                ".rept {line} / 32",
                "mov {a}, [{at} + tdlet_at]",
                "mov {b}, [{at} + tdlet_at + 8]",
                "mov {c}, [{at} + tdlet_at + 16]",
                "mov {d}, [{at} + tdlet_at + 24]",
                "or {a}, {b}",
                "or {c}, {d}",
                "or {a}, {c}",
                "or {word}, {a}",
                ".set tdlet_at, tdlet_at + 32",
                ".endr",
                "jnz 3f",
                "add {at}, {line}",
                "dec {left}",
                "jnz 2b",
                "3:",
                at = inout(reg) start => _,
                left = inout(reg) left,
                word = out(reg) _,
                a = out(reg) _,
                b = out(reg) _,
                c = out(reg) _,
                d = out(reg) _,
                line = const LINE,
                options(nostack, readonly),
            );
        }
    }
    lines - left
}

/// # Safety
/// As [`clear_lines`].
unsafe fn write_lines(start: *mut u8, lines: usize) {
    if lines == 0 {
        return;
    }
    // SAFETY: writes `lines` lines.
    unsafe {
        asm!(
            "2:",
            ".set tdlet_at, 0",
            ".rept {line} / 8",
            "mov [{at} + tdlet_at], {zero}",
            ".set tdlet_at, tdlet_at + 8",
            ".endr",
            "add {at}, {line}",
            "dec {left}",
            "jnz 2b",
            at = inout(reg) start => _,
            left = inout(reg) lines => _,
            zero = in(reg) 0_u64,
            line = const LINE,
            options(nostack),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// A buffer with `value` in `range` and 0xEE elsewhere.
    fn filled(len: usize, range: core::ops::Range<usize>, value: u8) -> Vec<u8> {
        let mut buffer = vec![0xEE; len];
        buffer[range].fill(value);
        buffer
    }

    #[test]
    fn every_byte_in_the_range_is_cleared_and_none_beside_it() {
        for (start, len) in [(0, 0), (1, 0), (3, 9), (0, 4096), (255, 258), (77, 9000), (256, 8192)]
        {
            for value in [0, 1, 0xFF] {
                let range = start..start + len;
                let mut buffer = filled(0x3000, range.clone(), value);
                let at = buffer.as_mut_ptr();
                // SAFETY: inside the buffer, which nothing borrows.
                unsafe { clear(at.add(start), len) };
                assert_eq!(buffer, filled(0x3000, range, 0), "{start} {len} {value}");
            }
        }
    }

    #[test]
    fn one_byte_anywhere_is_found_and_cleared() {
        let (start, len) = (100, 5000);
        for place in start..start + len {
            let mut buffer = filled(0x2000, start..start + len, 0);
            buffer[place] = 0x80;
            let at = buffer.as_mut_ptr();
            // SAFETY: inside the buffer, which nothing borrows.
            unsafe { clear(at.add(start), len) };
            assert_eq!(buffer, filled(0x2000, start..start + len, 0), "{place}");
        }
    }
}
