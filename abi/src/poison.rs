//! Poison: what the VMM of a test puts into every register that is no answer, and the
//! call by which the TD under test chooses the next answer.
//!
//! ```text
//! 63      48 47   36 35  32 31      16 15       0
//! ┌─────────┬───────┬──────┬──────────┬──────────┐
//! │  0xBAD0 │ entry │ reg. │  0xBAD2  │  0xBAD3  │
//! └─────────┴───────┴──────┴──────────┴──────────┘
//! ```
//!
//! So poison is another word at each entry and in each register, and every piece of it that
//! an access of 1, 2, 4 or 8 bytes can cut is recognised.

use crate::Gpr;

/// R10 of the vendor-specific VP.VMCALL "the answer to the next standard call is this": R11
/// is its status, R12 the seed of its results, see [`result`]. That call is not served. A
/// VMM that does not poison does not have it. [TDVF 4.3]
pub const SCRIPT: u64 = 0x706F_6973_6F6E;

const TOP: u64 = 0xBAD0;
const LOWER: u64 = 0xBAD2;
const LOWEST: u64 = 0xBAD3;

/// The poison of an entry for register `number` (0-15) of its kind.
#[must_use]
pub const fn word(entry: u64, number: u8) -> u64 {
    TOP << 48 | (entry & 0xFFF) << 36 | (number as u64 & 0xF) << 32 | LOWER << 16 | LOWEST
}

/// Whether this holds a piece of poison: 16 bits of it at a multiple of 16, or, behind a byte
/// that is none, one byte of it and then zeros.
#[must_use]
pub const fn is_in(value: u64) -> bool {
    let mut rest = value;
    while rest != 0 {
        if matches!(rest & 0xFFFF, TOP | LOWER | LOWEST) {
            return true;
        }
        rest >>= 16;
    }
    value >> 8 == LOWEST >> 8
}

/// What register `gpr` holds of a scripted answer, before it is cut to the result's width.
#[must_use]
pub const fn result(seed: u64, gpr: Gpr) -> u64 {
    seed.wrapping_add(gpr as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poison_differs_by_entry_and_register() {
        assert_eq!(word(1, 15), 0xBAD0_001F_BAD2_BAD3);
        assert_ne!(word(1, 2), word(2, 2));
        assert_ne!(word(1, 2), word(1, 3));
    }

    #[test]
    fn every_piece_of_poison_is_recognised() {
        let poison = word(0x123, 7);
        for bytes in [1, 2, 4] {
            let cut = u64::MAX >> (64 - 8 * bytes);
            assert!(bytes == 1 || is_in(poison & cut), "the lowest {bytes} bytes");
            assert!(is_in(poison & !cut), "all but {bytes} bytes");
        }
        assert!(is_in(poison >> 32), "the upper half, moved down");
        assert!(is_in(poison & 0xFF00 | 0x5A), "behind a result of one byte");
        assert!(is_in(poison & !0xFF | 0x5A), "the same, not cut");
    }

    #[test]
    fn other_values_are_no_poison() {
        for value in [0, 1, 0xBA, 0xFC00, 0x8000_0000_0000_0003, 0x5EED_0000_0000_000B, u64::MAX] {
            assert!(!is_in(value), "{value:#x}");
        }
    }
}
