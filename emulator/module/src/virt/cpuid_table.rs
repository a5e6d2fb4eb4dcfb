//! The CPUID table: which bits are native, fixed, configured or allowed. [ABI-G 9]
//!
//! Rows stand at their index in CPUID_CONTROL. A value is built from left to right:
//! the platform's bits under `native`, plus `fixed`; then the VMM's `direct` bits, and
//! `allow` as a mask; then the masks by XFAM. [`cpuid`](super::cpuid) does the rest.

use abi::attributes::Xfam;

/// Entries of TD_PARAMS.CPUID_CONFIG. [ABI-H 4.3]
pub const CPUID_CONFIGS: usize = 12;
/// Rows of the table.
pub const ROWS: usize = 64;

/// A leaf that the VMM configures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configurable {
    /// Leaf.
    pub leaf: u32,
    /// Sub-leaf, or `None` if the leaf has none.
    pub subleaf: Option<u32>,
    /// Bits whose value the VMM gives: EAX, EBX, ECX, EDX.
    pub direct: [u32; 4],
    /// Bits that the VMM may let through if the CPU has them.
    pub allow: [u32; 4],
}

/// CPUID_CONFIG in the order of TD_PARAMS. [ABI-H 4.3]
pub const CONFIGURABLE: [Configurable; CPUID_CONFIGS] = [
    config(0x1, None, [0x0fff_3fff, 0x00ff_0000, 0, 0], [0, 0, 0x3104_4d88, 0xb844_0000]),
    config(0x4, Some(0), CACHE, NONE),
    config(0x4, Some(1), CACHE, NONE),
    config(0x4, Some(2), CACHE, NONE),
    config(0x4, Some(3), [0xffff_c3ff, 0xffff_f000, 0xffff_ffff, 0x0000_0007], NONE),
    config(0x7, Some(0), NONE, [0, 0xdc2b_9b18, 0x0241_7f65, 0x0005_411c]),
    config(0x7, Some(1), NONE, [0x0000_1d30, 0, 0, 0]),
    config(0xa, None, NONE, NONE),
    config(0x1c, None, NONE, [0x0000_00ff, 0, 0, 0]),
    config(0x8000_0008, None, NONE, [0, 0x0000_0200, 0, 0]),
    config(0x7, Some(2), NONE, [0, 0, 0, 0x0000_0028]),
    config(0x23, Some(0), NONE, [0x0000_000f, 0, 0, 0]),
];

const NONE: [u32; 4] = [0; 4];
const ALL: [u32; 4] = [u32::MAX; 4];
const CACHE: [u32; 4] = [0xffff_c3ff, 0xffff_f000, 0xffff_ffff, 0xffff_fffb];
const LINE_64: [u32; 4] = [0, 0x3f, 0, 0];
const XSAVE_STATE: [u32; 4] = [u32::MAX, u32::MAX, u32::MAX, 0];

const fn config(
    leaf: u32,
    subleaf: Option<u32>,
    direct: [u32; 4],
    allow: [u32; 4],
) -> Configurable {
    Configurable { leaf, subleaf, direct, allow }
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Leaf.
    pub leaf: u32,
    /// Sub-leaf, or `None` if any sub-leaf finds the row.
    pub subleaf: Option<u32>,
    /// Bits taken from the platform, or `None` if the row gives #VE.
    pub native: Option<[u32; 4]>,
    /// Bits that read 1.
    pub fixed: [u32; 4],
}

const fn row(leaf: u32, subleaf: Option<u32>, native: [u32; 4], fixed: [u32; 4]) -> Row {
    Row { leaf, subleaf, native: Some(native), fixed }
}

const fn zero(leaf: u32) -> Row {
    row(leaf, None, NONE, NONE)
}

const fn faulting(leaf: u32, subleaf: Option<u32>) -> Row {
    Row { leaf, subleaf, native: None, fixed: NONE }
}

/// The table; the index of a row is its index in CPUID_CONTROL.
pub const TABLE: [Row; ROWS] = [
    row(0x1, None, [0, 0, 0x77fe_ff9f, 0xbfed_f9ff], [0, 0x0800, 0x8000_0000, 0x0200]),
    row(0x4, Some(0), NONE, LINE_64),
    row(0x4, Some(1), NONE, LINE_64),
    row(0x4, Some(2), NONE, LINE_64),
    row(0x4, Some(3), NONE, LINE_64),
    row(0x7, Some(0), [0, 0xffbf_bff9, 0x1b41_7fef, 0xffdd_453c], [2, 0, 0, 0]),
    row(0x7, Some(1), [0x1d30, 0, 0, 0], NONE),
    row(0xa, None, [u32::MAX, u32::MAX, u32::MAX, 0x9fff], NONE),
    row(0x1c, None, ALL, NONE),
    row(0x8000_0008, None, [0, 0x0200, 0, 0], [52, 0, 0, 0]),
    row(0x0, None, NONE, [0x23, 0x756e_6547, 0x6c65_746e, 0x4965_6e69]),
    zero(0x3),
    row(0x4, Some(4), NONE, NONE),
    faulting(0x6, None),
    row(0x7, Some(2), [0, 0, 0, 0x3f], NONE),
    zero(0x8),
    row(0xd, Some(0), [0x0006_02e7, 0, 0, 0], NONE),
    row(0xd, Some(1), [0x1f, 0, 0xd900, 0], NONE),
    row(0xd, Some(2), XSAVE_STATE, NONE),
    row(0xd, Some(3), XSAVE_STATE, NONE),
    row(0xd, Some(4), XSAVE_STATE, NONE),
    row(0xd, Some(5), XSAVE_STATE, NONE),
    row(0xd, Some(6), XSAVE_STATE, NONE),
    row(0xd, Some(7), XSAVE_STATE, NONE),
    row(0xd, Some(8), XSAVE_STATE, NONE),
    row(0xd, Some(9), XSAVE_STATE, NONE),
    row(0xd, Some(10), XSAVE_STATE, NONE),
    row(0xd, Some(11), XSAVE_STATE, NONE),
    row(0xd, Some(12), XSAVE_STATE, NONE),
    row(0xd, Some(13), XSAVE_STATE, NONE),
    row(0xd, Some(14), XSAVE_STATE, NONE),
    row(0xd, Some(15), XSAVE_STATE, NONE),
    row(0xd, Some(16), XSAVE_STATE, NONE),
    row(0xd, Some(17), XSAVE_STATE, NONE),
    row(0xd, Some(18), XSAVE_STATE, NONE),
    zero(0xe),
    zero(0x11),
    zero(0x12),
    zero(0x13),
    row(0x14, Some(0), [0, 0x1ff, 0x8000_000f, 0], [1, 0, 0, 0]),
    row(0x14, Some(1), [0xffff_0007, u32::MAX, 0, 0], NONE),
    row(0x15, None, NONE, [1, 0, 25_000_000, 0]),
    zero(0x19),
    row(0x1d, Some(0), ALL, NONE),
    row(0x1d, Some(1), ALL, NONE),
    row(0x1e, None, ALL, NONE),
    faulting(0x1f, Some(0)),
    faulting(0x1f, Some(1)),
    faulting(0x1f, Some(2)),
    faulting(0x1f, Some(3)),
    faulting(0x1f, Some(4)),
    faulting(0x1f, Some(5)),
    zero(0x20),
    row(0x21, Some(0), NONE, [0, 0x6574_6e49, 0x2020_2020, 0x5844_546c]),
    row(0x8000_0000, None, NONE, [0x8000_0008, 0, 0, 0]),
    row(0x8000_0001, None, NONE, [0, 0, 0x121, 0x2c10_0000]),
    faulting(0x8000_0006, None),
    row(0x8000_0007, None, NONE, [0, 0, 0, 0x100]),
    zero(0x22),
    row(0x23, Some(0), [0xf, u32::MAX, 0, 0], NONE),
    row(0x23, Some(1), [u32::MAX, u32::MAX, 0, 0], NONE),
    row(0x23, Some(2), NONE, NONE),
    row(0x23, Some(3), [u32::MAX, 0, 0, 0], NONE),
    row(0x5, None, [0xffff, 0xffff, 0x3, u32::MAX], NONE),
];

/// Bits that read 0 unless XFAM has all of the state: leaf, sub-leaf, state, bits.
/// Bits that follow one XFAM bit each (leaf 0xD) are not here.
pub const BY_XFAM: [(u32, u32, Xfam, [u32; 4]); 10] = [
    (0x1, 0, Xfam::AVX, [0, 0, 0x3000_1000, 0]),
    (0x7, 0, Xfam::AVX, [0, 0x0000_0020, 0x0000_0600, 0]),
    (0x7, 0, Xfam::AVX512, [0, 0xdc23_0000, 0x0000_5842, 0x0080_010c]),
    (0x7, 0, Xfam::PT, [0, 0x0200_0000, 0, 0]),
    (0x7, 0, Xfam::PKRU, [0, 0, 0x0000_0008, 0]),
    (0x7, 0, Xfam::CET, [0, 0, 0x0000_0080, 0x0010_0000]),
    (0x7, 0, Xfam::UINTR, [0, 0, 0, 0x0000_0020]),
    (0x7, 0, Xfam::LBR, [0, 0, 0, 0x0008_0000]),
    (0x7, 0, Xfam::AMX, [0, 0, 0, 0x0340_0000]),
    (0x7, 1, Xfam::AVX512, [0x0000_0030, 0, 0, 0]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurable_leaves_stand_in_the_order_of_td_params() {
        let leaves = CONFIGURABLE.map(|entry| (entry.leaf, entry.subleaf));
        assert_eq!(leaves, abi::td_params::CPUID_CONFIG_LEAVES);
    }

    #[test]
    fn no_leaf_and_sub_leaf_has_two_rows() {
        for (index, row) in TABLE.iter().enumerate() {
            for other in &TABLE[..index] {
                let same = row.subleaf == other.subleaf
                    || row.subleaf.is_none()
                    || other.subleaf.is_none();
                assert!(row.leaf != other.leaf || !same, "{row:x?} and {other:x?}");
            }
        }
    }

    #[test]
    fn fixed_native_and_direct_bits_are_disjoint_and_allowed_bits_are_native() {
        for row in TABLE.iter().filter(|row| row.native.is_some()) {
            let config =
                CONFIGURABLE.iter().find(|c| c.leaf == row.leaf && c.subleaf == row.subleaf);
            for register in 0..4 {
                let native = row.native.unwrap()[register];
                assert_eq!(native & row.fixed[register], 0, "{row:x?}");
                if let Some(config) = config {
                    assert_eq!(
                        config.direct[register] & (native | row.fixed[register]),
                        0,
                        "{row:x?}"
                    );
                    assert_eq!(config.allow[register] & !native, 0, "{row:x?}");
                }
            }
        }
    }

    #[test]
    fn rows_have_the_control_index_of_the_reference() {
        let index = |leaf, subleaf| {
            TABLE.iter().position(|row| row.leaf == leaf && row.subleaf == subleaf).unwrap()
        };
        for (leaf, subleaf, expected) in [
            (0x0, None, 10),
            (0x1, None, 0),
            (0x3, None, 11),
            (0x4, Some(3), 4),
            (0x4, Some(4), 12),
            (0x5, None, 63),
            (0x6, None, 13),
            (0x7, Some(0), 5),
            (0x7, Some(1), 6),
            (0x7, Some(2), 14),
            (0x8, None, 15),
            (0xa, None, 7),
            (0xd, Some(0), 16),
            (0xd, Some(1), 17),
            (0xd, Some(18), 34),
            (0xe, None, 35),
            (0x11, None, 36),
            (0x12, None, 37),
            (0x13, None, 38),
            (0x14, Some(0), 39),
            (0x14, Some(1), 40),
            (0x15, None, 41),
            (0x19, None, 42),
            (0x1c, None, 8),
            (0x1d, Some(1), 44),
            (0x1e, None, 45),
            (0x1f, Some(5), 51),
            (0x20, None, 52),
            (0x21, Some(0), 53),
            (0x22, None, 58),
            (0x23, Some(0), 59),
            (0x23, Some(3), 62),
            (0x8000_0000, None, 54),
            (0x8000_0001, None, 55),
            (0x8000_0006, None, 56),
            (0x8000_0007, None, 57),
            (0x8000_0008, None, 9),
        ] {
            assert_eq!(index(leaf, subleaf), expected, "{leaf:#x}");
        }
    }
}
