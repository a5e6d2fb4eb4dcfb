//! A trust domain's control structures, in the pages that the VMM donated for them.
//!
//! | structure | where |
//! |---|---|
//! | TDR | the TDR page |
//! | TDCS fields | first TDCX page |
//! | counters | second TDCX page |
//! | MSR bitmap | third TDCX page |
//! | root of the secure EPT | fourth TDCX page |
//! | TDVPS fields | the TDVPR page |

pub(crate) mod tdcs;
pub(crate) mod tdr;
pub mod tdvps;

use abi::attributes::{Attributes, ConfigFlags, Xfam};
use abi::{Counts, Status};

use crate::machine::{Machine, VcpuId};
use crate::phys::{load, store};
use tdcs::{OpState, Tdcs};
use tdr::{Lifecycle, Tdr};
use tdvps::Tdvps;

use crate::virt::TdFeatures;

/// A TD's structures, copied out.
#[derive(Clone)]
pub(crate) struct Td {
    /// Host-physical address of the TDR page.
    pub pa: u64,
    pub tdr: Tdr,
    pub tdcs: Tdcs,
}

impl Td {
    /// Loads TDR and TDCS; the TDCS is zeros while it has no pages.
    pub(crate) fn load(m: &dyn Machine, pa: u64) -> Self {
        let tdr: Tdr = load(m, pa);
        let tdcs = load(m, tdr.tdcx_pa[tdcs::FIELDS]);
        Self { pa, tdr, tdcs }
    }

    pub(crate) fn store(&self, m: &mut dyn Machine) {
        store(m, self.pa, &self.tdr);
        self.store_tdcs(m);
    }

    pub(crate) fn store_tdcs(&self, m: &mut dyn Machine) {
        store(m, self.tdr.tdcx_pa[tdcs::FIELDS], &self.tdcs);
    }

    /// The state sequence up to the TDCS: what a leaf needs before it may look into
    /// it. [ABI-H 3.2]
    pub(crate) fn load_with_keys(m: &dyn Machine, pa: u64) -> Result<Tdr, Status> {
        let tdr: Tdr = load(m, pa);
        if tdr.fatal != 0 {
            return Err(Status::TD_FATAL);
        }
        if tdr.lifecycle() != Lifecycle::KeysConfigured {
            return Err(Status::TD_KEYS_NOT_CONFIGURED);
        }
        Ok(tdr)
    }

    /// The whole state sequence for a leaf that works in the op_states `allowed`.
    pub(crate) fn load_in(m: &dyn Machine, pa: u64, allowed: &[OpState]) -> Result<Self, Status> {
        let tdr = Self::load_with_keys(m, pa)?;
        if tdr.num_tdcx < crate::sys::TDCS_PAGES {
            return Err(Status::TDCS_NOT_ALLOCATED);
        }
        let td = Self::load(m, pa);
        if !allowed.iter().any(|state| *state as u32 == td.tdcs.op_state) {
            return Err(Status::OP_STATE_INCORRECT);
        }
        Ok(td)
    }

    /// Changes the TD's counters.
    pub(crate) fn count(m: &mut dyn Machine, tdr_pa: u64, change: impl FnOnce(&mut Counts)) {
        let tdr: Tdr = load(m, tdr_pa);
        let at = tdr.tdcx_pa[tdcs::COUNTERS];
        let mut counts = load(m, at);
        change(&mut counts);
        store(m, at, &counts);
    }

    pub(crate) fn counts(m: &dyn Machine, tdr_pa: u64) -> Counts {
        let tdr: Tdr = load(m, tdr_pa);
        if tdr.num_tdcx < crate::sys::TDCS_PAGES {
            return Counts::default();
        }
        load(m, tdr.tdcx_pa[tdcs::COUNTERS])
    }
}

/// What the CPU underneath and the virtualization policies need to know of a TD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TdInfo {
    /// GPA width: 48 or 52. The shared bit is the top one.
    pub gpa_width: u32,
    /// ATTRIBUTES.
    pub attributes: u64,
    /// XFAM.
    pub xfam: u64,
    /// CONFIG_FLAGS.
    pub config_flags: u64,
    /// TD_CTLS.
    pub td_ctls: u64,
    /// {eax, ebx, ecx, edx} of TD_PARAMS, in the order of
    /// [`abi::td_params::CPUID_CONFIG_LEAVES`].
    pub cpuid_config: [[u32; 4]; 12],
    /// The guest's TSC is the host's plus this.
    pub tsc_offset: u64,
    /// Virtual TSC frequency in units of 25 MHz.
    pub tsc_frequency_25mhz: u16,
    /// IA32_ARCH_CAPABILITIES bits that the VMM asked for, if it did.
    pub arch_capabilities_config: Option<u64>,
    /// Index of the vCPU in its TD.
    pub vcpu_index: u32,
    /// x2APIC id that VP.INIT version 1 gave; the index under version 0.
    pub x2apic_id: u32,
    /// #VE on every CPUID at CPL 0.
    pub cpuid_supervisor_ve: bool,
    /// #VE on every CPUID at CPL > 0.
    pub cpuid_user_ve: bool,
    /// #VE per row of the CPUID table: bit 0 at CPL 0, bit 1 above.
    pub cpuid_control: [u8; 128],
    /// Shared EPT root that the VMM set with TDH.VP.WR.
    pub shared_eptp: u64,
}

impl TdInfo {
    /// The part that [`crate::virt`] asks for.
    pub fn features(&self) -> TdFeatures {
        TdFeatures {
            attributes: Attributes::from_bits_retain(self.attributes),
            xfam: Xfam::from_bits_retain(self.xfam),
            config_flags: ConfigFlags::from_bits_retain(self.config_flags),
            tsc_frequency_25mhz: self.tsc_frequency_25mhz,
            cpuid_config: self.cpuid_config,
            arch_capabilities_config: self.arch_capabilities_config.unwrap_or(0),
        }
    }

    pub(crate) fn load(m: &dyn Machine, v: VcpuId) -> Self {
        let Td { tdcs, .. } = Td::load(m, v.tdr);
        let tdvps = Tdvps::load(m, v.tdvpr);
        Self {
            gpa_width: tdcs.gpa_width(),
            attributes: tdcs.attributes,
            xfam: tdcs.xfam,
            config_flags: tdcs.config_flags,
            td_ctls: tdcs.td_ctls,
            cpuid_config: tdcs.cpuid_config,
            tsc_offset: tdcs.tsc_offset,
            tsc_frequency_25mhz: tdcs.tsc_frequency_25mhz,
            arch_capabilities_config: (tdcs.msr_config_ctls & 1 == 1)
                .then_some(tdcs.arch_capabilities_config),
            vcpu_index: tdvps.index,
            x2apic_id: tdvps.x2apic_id,
            cpuid_supervisor_ve: tdvps.cpuid_supervisor_ve != 0,
            cpuid_user_ve: tdvps.cpuid_user_ve != 0,
            cpuid_control: tdvps.cpuid_control,
            shared_eptp: tdvps.shared_eptp,
        }
    }
}
