//! The TDCS: configuration, measurements and memory of a TD. [ABI-H 3.3, 3.6]

use abi::attributes::{ConfigFlags, TdCtls};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::phys::PAGE;

/// TDCX page with the fields below.
pub(crate) const FIELDS: usize = 0;
/// TDCX page with the emulator's counters.
pub(crate) const COUNTERS: usize = 1;
/// TDCX page with the MSR bitmap.
pub(crate) const MSR_BITMAP: u32 = 2;
/// TDCX page that is the root of the secure EPT.
pub(crate) const SEPT_ROOT: usize = 3;

/// TD operation state. Export and import states do not exist here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum OpState {
    Uninitialized = 0,
    Initialized = 1,
    Runnable = 2,
}

impl OpState {
    /// Leaves that work before and after MR.FINALIZE.
    pub(crate) const BUILT: &[Self] = &[Self::Initialized, Self::Runnable];
}

/// The fields of the TDCS.
#[repr(C)]
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct Tdcs {
    pub op_state: u32,
    pub num_vcpus: u32,
    pub num_assoc_vcpus: u32,
    pub max_vcpus: u32,
    pub attributes: u64,
    pub xfam: u64,
    pub config_flags: u64,
    pub td_ctls: u64,
    pub notify_enables: u64,
    /// EPTP of the secure EPT; its depth holds for the shared EPT too.
    pub eptp: u64,
    pub tsc_offset: u64,
    pub tsc_multiplier: u64,
    pub hp_lock_timeout: u64,
    pub arch_capabilities_config: u64,
    pub tsc_frequency_25mhz: u16,
    pub msr_config_ctls: u8,
    pub _rsvd: [u8; 5],
    pub td_epoch: u64,
    /// vCPUs inside the TD that entered in an even and in an odd epoch.
    pub refcount: [u32; 2],
    pub measurement: crate::mrtd::Stream,
    pub mrtd: [u8; 48],
    pub mrconfigid: [u8; 48],
    pub mrowner: [u8; 48],
    pub mrownerconfig: [u8; 48],
    pub rtmr: [[u8; 48]; 4],
    pub servtd_hash: [u8; 48],
    pub cpuid_config: [[u32; 4]; 12],
}

const _: () = assert!(size_of::<Tdcs>() as u64 <= PAGE);

impl Tdcs {
    /// 48 or 52.
    pub(crate) fn gpa_width(&self) -> u32 {
        if self.config_flags & ConfigFlags::GPAW_52.bits() == 0 { 48 } else { 52 }
    }

    /// The SHARED bit as a mask.
    pub(crate) fn shared_mask(&self) -> u64 {
        1 << (self.gpa_width() - 1)
    }

    /// Private, and below the width. [ABI-G 2.0]
    pub(crate) fn is_private(&self, gpa: u64) -> bool {
        gpa & !(self.shared_mask() - 1) == 0
    }

    /// Level of the entries in the EPT root: 3 or 4.
    pub(crate) fn root_level(&self) -> u8 {
        (self.eptp >> 3 & 7) as u8
    }

    /// RBP is neither passed nor changed.
    pub(crate) fn keeps_rbp(&self) -> bool {
        self.config_flags & ConfigFlags::NO_RBP_MOD.bits() != 0
    }

    /// An access to a pending page exits to the VMM instead of raising #VE.
    pub(crate) fn pending_exits(&self) -> bool {
        self.td_ctls & TdCtls::PENDING_VE_DISABLE.bits() != 0
    }

    /// Whether no vCPU can hold a translation that was blocked in epoch `blocked`.
    /// [ABI-H 3.8]
    pub(crate) fn is_tlb_tracked(&self, blocked: u64) -> bool {
        let previous = self.td_epoch.saturating_sub(1);
        blocked < previous || blocked == previous && self.refcount[(blocked & 1) as usize] == 0
    }

    /// Once the TD may run, removal needs BLOCK and TRACK first.
    pub(crate) fn needs_tracking(&self) -> bool {
        self.op_state == OpState::Runnable as u32
    }
}
