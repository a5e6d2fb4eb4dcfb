//! RAX: versions and reserved bits of every leaf, and leaves that do not exist. [ABI-G 1]

use abi::leaf::tdg;

use super::BAD_RAX;
use crate::conform::Row;

const LEAVES: [u64; 21] = [
    tdg::VP_VMCALL,
    tdg::VP_INFO,
    tdg::MR_RTMR_EXTEND,
    tdg::VP_VEINFO_GET,
    tdg::MR_REPORT,
    tdg::VP_CPUIDVE_SET,
    tdg::MEM_PAGE_ACCEPT,
    tdg::VM_WR,
    tdg::VP_RD,
    tdg::VP_WR,
    tdg::SYS_RD,
    tdg::SYS_RDALL,
    tdg::SERVTD_RD,
    tdg::SERVTD_WR,
    tdg::MR_VERIFYREPORT,
    tdg::MEM_PAGE_ATTR_RD,
    tdg::MEM_PAGE_ATTR_WR,
    tdg::VP_ENTER,
    tdg::VP_INVEPT,
    tdg::VP_INVVPID,
    // Has version 1, and looks at the other versions itself: not in the first table.
    tdg::VM_RD,
];

type Named = (&'static str, u64);

const VERSION: [Named; 4] = [
    ("version 1", 1 << 16),
    ("version 2", 2 << 16),
    ("version 128", 128 << 16),
    ("version 255", 255 << 16),
];

const LOW: [Named; 8] = [
    ("RAX bit 24", 1 << 24),
    ("RAX bit 25", 1 << 25),
    ("RAX bit 26", 1 << 26),
    ("RAX bit 27", 1 << 27),
    ("RAX bit 28", 1 << 28),
    ("RAX bit 29", 1 << 29),
    ("RAX bit 30", 1 << 30),
    ("RAX bit 31", 1 << 31),
];

const HIGH: [Named; 21] = [
    ("RAX bit 32", 1 << 32),
    ("RAX bit 33", 1 << 33),
    ("RAX bit 34", 1 << 34),
    ("RAX bit 35", 1 << 35),
    ("RAX bit 36", 1 << 36),
    ("RAX bit 37", 1 << 37),
    ("RAX bit 38", 1 << 38),
    ("RAX bit 39", 1 << 39),
    ("RAX bit 40", 1 << 40),
    ("RAX bit 41", 1 << 41),
    ("RAX bit 42", 1 << 42),
    ("RAX bit 43", 1 << 43),
    ("RAX bit 44", 1 << 44),
    ("RAX bit 45", 1 << 45),
    ("RAX bit 46", 1 << 46),
    ("RAX bit 47", 1 << 47),
    ("RAX bit 48", 1 << 48),
    ("RAX bit 49", 1 << 49),
    ("RAX bit 50", 1 << 50),
    ("RAX bit 51", 1 << 51),
    ("RAX bit 52", 1 << 52),
];

const TOP: [Named; 11] = [
    ("RAX bit 53", 1 << 53),
    ("RAX bit 54", 1 << 54),
    ("RAX bit 55", 1 << 55),
    ("RAX bit 56", 1 << 56),
    ("RAX bit 57", 1 << 57),
    ("RAX bit 58", 1 << 58),
    ("RAX bit 59", 1 << 59),
    ("RAX bit 60", 1 << 60),
    ("RAX bit 61", 1 << 61),
    ("RAX bit 62", 1 << 62),
    ("RAX bit 63", 1 << 63),
];

const EMPTY: Row = Row::new(("ABI-G 1", 0), "", &[], BAD_RAX, &[]);

/// The first `COUNT` leaves, each with one of `bits`: that is invalid, and no register but
/// RAX changes, whatever the leaf would do with its operands.
const fn rows<const COUNT: usize>(bits: &[Named]) -> [Row; COUNT] {
    let mut rows = [EMPTY; COUNT];
    let mut at = 0;
    while at < COUNT {
        let (name, bit) = bits[at % bits.len()];
        rows[at] = Row::new(("ABI-G 1", LEAVES[at] | bit), name, &[], BAD_RAX, &[]);
        at += 1;
    }
    rows
}

pub(super) const VERSIONS: &[Row] = &rows::<20>(&VERSION);
pub(super) const RESERVED_LOW: &[Row] = &rows::<21>(&LOW);
pub(super) const RESERVED_HIGH: &[Row] = &rows::<21>(&HIGH);
pub(super) const RESERVED_TOP: &[Row] = &rows::<11>(&TOP);

const fn unknown(name: &'static str, number: u64) -> Row {
    Row::new(("ABI-G 1", number), name, &[], BAD_RAX, &[])
}

pub(super) const UNKNOWN: &[Row] = &[
    unknown("leaf 13", 13),
    unknown("leaf 14", 14),
    unknown("leaf 15", 15),
    unknown("leaf 16", 16),
    unknown("leaf 17", 17),
    unknown("leaf 19", 19),
    unknown("leaf 21", 21),
    unknown("leaf 28", 28),
    unknown("leaf 32", 32),
    unknown("leaf 64", 64),
    unknown("leaf 0x100", 0x100),
    unknown("leaf 0x8000", 0x8000),
    unknown("leaf 0xffff", 0xFFFF),
    unknown("leaf 13 in version 1", 13 | 1 << 16),
    unknown("all bits of RAX", u64::MAX),
];
