//! What TDH.SYS.INFO writes. [ABI-H 3.5]

use core::mem::offset_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Entries of the CMR table.
pub const MAX_CMRS: usize = 32;
/// CPUID_CONFIG entries that fit into [`TdSysInfo`].
pub const MAX_CPUID_CONFIGS: usize = 37;

/// A convertible memory range; size 0 marks an unused entry.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct CmrInfo {
    /// First address.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

/// The CMR table, 512-aligned in shared memory.
pub type CmrTable = [CmrInfo; MAX_CMRS];

const _: () = assert!(size_of::<CmrTable>() == 512);

/// A CPUID leaf of which the VMM may configure bits.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct CpuidConfig {
    /// Leaf.
    pub leaf: u32,
    /// Sub-leaf; all ones if the leaf has none.
    pub subleaf: u32,
    /// Configurable bits of EAX, EBX, ECX, EDX.
    pub bits: [u32; 4],
}

/// TDSYSINFO_STRUCT, 1024 bytes, 1024-aligned in shared memory.
#[repr(C)]
#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct TdSysInfo {
    /// Bit 31: a debug module.
    pub attributes: u32,
    /// 0x8086.
    pub vendor_id: u32,
    /// BCD.
    pub build_date: u32,
    /// Build.
    pub build_num: u16,
    /// Minor version.
    pub minor_version: u16,
    /// Major version.
    pub major_version: u16,
    /// TDH.SYS.RD exists.
    pub sys_rd: u8,
    /// Reserved.
    pub _rsvd_013: [u8; 13],
    /// Most TDMRs.
    pub max_tdmrs: u16,
    /// Most reserved areas of a TDMR.
    pub max_reserved_per_tdmr: u16,
    /// Bytes of a PAMT entry.
    pub pamt_entry_size: u16,
    /// Reserved.
    pub _rsvd_026: [u8; 10],
    /// Bytes of the TDCS.
    pub tdcs_base_size: u16,
    /// Reserved.
    pub _rsvd_032: [u8; 2],
    /// Bytes of the TDVPS.
    pub tdvps_base_size: u16,
    /// 0.
    pub tdvps_xfam_dependent_size: u8,
    /// Reserved.
    pub _rsvd_037: [u8; 9],
    /// ATTRIBUTES bits that may be 1.
    pub attributes_fixed0: u64,
    /// ATTRIBUTES bits that must be 1.
    pub attributes_fixed1: u64,
    /// XFAM bits that may be 1.
    pub xfam_fixed0: u64,
    /// XFAM bits that must be 1.
    pub xfam_fixed1: u64,
    /// Reserved.
    pub _rsvd_060: [u8; 32],
    /// Entries of `cpuid_config` that are used.
    pub num_cpuid_config: u32,
    /// Configurable CPUID bits.
    pub cpuid_config: [CpuidConfig; MAX_CPUID_CONFIGS],
    /// Reserved.
    pub _rsvd_3fc: [u8; 4],
}

const _: () = assert!(offset_of!(TdSysInfo, sys_rd) == 18);
const _: () = assert!(offset_of!(TdSysInfo, max_tdmrs) == 32);
const _: () = assert!(offset_of!(TdSysInfo, tdcs_base_size) == 48);
const _: () = assert!(offset_of!(TdSysInfo, tdvps_base_size) == 52);
const _: () = assert!(offset_of!(TdSysInfo, attributes_fixed0) == 64);
const _: () = assert!(offset_of!(TdSysInfo, num_cpuid_config) == 128);
const _: () = assert!(offset_of!(TdSysInfo, cpuid_config) == 132);
const _: () = assert!(size_of::<TdSysInfo>() == 1024);
