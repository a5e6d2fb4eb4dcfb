//! TDMR_INFO: the operand of TDH.SYS.CONFIG, and the PAMT's sizes. [ABI-H 3.5]

use core::mem::offset_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Reserved areas a TDMR may have.
pub const MAX_RESERVED: usize = 16;
/// TDMRs that TDH.SYS.CONFIG takes.
pub const MAX_TDMRS: usize = 64;
/// Bytes of a PAMT entry.
pub const PAMT_ENTRY_BYTES: u64 = 16;

/// A hole in a TDMR: offset from its base and size, 4 KiB multiples.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct ReservedArea {
    /// Bytes from the TDMR's base.
    pub offset: u64,
    /// Bytes; 0 ends the list.
    pub size: u64,
}

/// A trust-domain memory region and the memory of its PAMT. 512-byte aligned.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct TdmrInfo {
    /// Base, 1 GiB aligned.
    pub base: u64,
    /// Size, a multiple of 1 GiB.
    pub size: u64,
    /// PAMT of 1 GiB pages: base.
    pub pamt_1g_base: u64,
    /// PAMT of 1 GiB pages: bytes.
    pub pamt_1g_size: u64,
    /// PAMT of 2 MiB pages: base.
    pub pamt_2m_base: u64,
    /// PAMT of 2 MiB pages: bytes.
    pub pamt_2m_size: u64,
    /// PAMT of 4 KiB pages: base.
    pub pamt_4k_base: u64,
    /// PAMT of 4 KiB pages: bytes.
    pub pamt_4k_size: u64,
    /// Holes in address order.
    pub reserved: [ReservedArea; MAX_RESERVED],
}

impl TdmrInfo {
    /// No region, no PAMT, no holes.
    pub const EMPTY: Self = Self {
        base: 0,
        size: 0,
        pamt_1g_base: 0,
        pamt_1g_size: 0,
        pamt_2m_base: 0,
        pamt_2m_size: 0,
        pamt_4k_base: 0,
        pamt_4k_size: 0,
        reserved: [ReservedArea { offset: 0, size: 0 }; MAX_RESERVED],
    };
}

const _: () = assert!(size_of::<TdmrInfo>() == 320);
const _: () = assert!(offset_of!(TdmrInfo, pamt_2m_base) == 32);
const _: () = assert!(offset_of!(TdmrInfo, reserved) == 64);
