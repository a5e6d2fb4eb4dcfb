//! TD_PARAMS: the operand of TDH.MNG.INIT. [ABI-H 4.1]

use core::mem::offset_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Leaf, sub-leaf and settable bits of each CPUID_CONFIG entry, in the order in
/// which TD_PARAMS carries the values. [ABI-H 4.3]
pub const CPUID_CONFIG_LEAVES: [(u32, Option<u32>); 12] = [
    (0x1, None),
    (0x4, Some(0)),
    (0x4, Some(1)),
    (0x4, Some(2)),
    (0x4, Some(3)),
    (0x7, Some(0)),
    (0x7, Some(1)),
    (0xA, None),
    (0x1C, None),
    (0x8000_0008, None),
    (0x7, Some(2)),
    (0x23, Some(0)),
];

/// EPTP_CONTROLS: write-back, 4-level walk.
pub const EPTP_4_LEVELS: u64 = 6 | 3 << 3;
/// EPTP_CONTROLS: write-back, 5-level walk.
pub const EPTP_5_LEVELS: u64 = 6 | 4 << 3;

/// TD_PARAMS, 1024 bytes, 1024-aligned, in shared memory.
#[repr(C)]
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct TdParams {
    /// ATTRIBUTES.
    pub attributes: u64,
    /// XFAM.
    pub xfam: u64,
    /// Most vCPUs the TD may have.
    pub max_vcpus: u16,
    /// Nested guests.
    pub num_l2_vms: u8,
    /// Bit 0: IA32_ARCH_CAPABILITIES_CONFIG is used.
    pub msr_config_ctls: u8,
    /// Must be zero.
    pub _rsvd_014: [u8; 4],
    /// EPT memory type and depth.
    pub eptp_controls: u64,
    /// CONFIG_FLAGS.
    pub config_flags: u64,
    /// Virtual TSC frequency in units of 25 MHz.
    pub tsc_frequency_25mhz: u16,
    /// Must be zero.
    pub _rsvd_02a: [u8; 38],
    /// Free-form identity of the configuration.
    pub mrconfigid: [u8; 48],
    /// Free-form identity of the owner.
    pub mrowner: [u8; 48],
    /// Free-form identity of the owner's configuration.
    pub mrownerconfig: [u8; 48],
    /// Used if `msr_config_ctls` bit 0 is set.
    pub ia32_arch_capabilities_config: u64,
    /// Must be zero.
    pub _rsvd_0e8: [u8; 24],
    /// {eax, ebx, ecx, edx} in the order of [`CPUID_CONFIG_LEAVES`].
    pub cpuid_config: [[u32; 4]; 12],
    /// Must be zero.
    pub _rsvd_1c0: [u8; 576],
}

const _: () = assert!(size_of::<TdParams>() == 1024);
const _: () = assert!(offset_of!(TdParams, eptp_controls) == 24);
const _: () = assert!(offset_of!(TdParams, tsc_frequency_25mhz) == 40);
const _: () = assert!(offset_of!(TdParams, mrconfigid) == 80);
const _: () = assert!(offset_of!(TdParams, ia32_arch_capabilities_config) == 224);
const _: () = assert!(offset_of!(TdParams, cpuid_config) == 256);
const _: () = assert!(offset_of!(TdParams, _rsvd_1c0) == 448);
