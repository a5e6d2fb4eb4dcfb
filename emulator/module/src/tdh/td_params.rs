//! TD_PARAMS: the checks of TDH.MNG.INIT, in the order of 1.5.01. [ABI-H 4.1, 4.2]

use abi::td_params::{EPTP_4_LEVELS, EPTP_5_LEVELS, TdParams};
use abi::{Operand, Status};

use super::check_tsc_adjust;
use crate::machine::Machine;
use crate::metadata::sys::cpuid_leaf;
use crate::module::Module;
use crate::sys::{ATTRIBUTES_FIXED0, CONFIG_FLAGS_FIXED0, XFAM_FIXED1, XFAM_KNOWN};
use crate::virt::cpuid_table::CONFIGURABLE;

/// CONFIG_FLAGS bit 0: GPA width 52, which needs 5 EPT levels.
const GPAW_52: u64 = 1;
/// Virtual TSC frequency in units of 25 MHz.
const TSC_FREQUENCIES: core::ops::RangeInclusive<u16> = 4..=400;
/// IA32_ARCH_CAPABILITIES bits that the VMM may configure. [ABI-G 8]
const ARCH_CAPABILITIES: u64 = 1 << 4 | 1 << 19 | 1 << 20 | 1 << 24;
/// MSR_CONFIG_CTLS: IA32_ARCH_CAPABILITIES_CONFIG is used.
const USES_ARCH_CAPABILITIES: u8 = 1;
/// HLE and RTM in CPUID(7,0).EBX.
const TSX: u32 = 1 << 4 | 1 << 11;
/// Index of leaf 7.0 in CPUID_CONFIG.
const LEAF_7: usize = 5;

/// A refusal, and the CPUID leaf that RCX names with it.
pub(crate) struct Refusal {
    pub status: Status,
    pub cpuid: u64,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self { status, cpuid: 0 }
    }
}

impl From<Operand> for Refusal {
    fn from(operand: Operand) -> Self {
        Self { status: Status::OPERAND_INVALID.with_operand(operand), cpuid: 0 }
    }
}

fn require(holds: bool, operand: Operand) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(operand.into()) }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

pub(crate) fn check(module: &Module, m: &dyn Machine, params: &TdParams) -> Result<(), Refusal> {
    require(params.attributes & !ATTRIBUTES_FIXED0 == 0, Operand::Attributes)?;
    require(is_xfam(module, params.xfam), Operand::Xfam)?;
    require(params.max_vcpus != 0, Operand::MaxVcpus)?;
    // 1.5.01 takes up to 3; partitioning is left out here.
    require(params.num_l2_vms == 0, Operand::NumL2Vms)?;
    require(is_zero(&params._rsvd_014), Operand::Rdx)?;
    require(params.config_flags & !CONFIG_FLAGS_FIXED0 == 0, Operand::ConfigFlags)?;
    let needs_five = params.config_flags & GPAW_52 != 0;
    let is_eptp = params.eptp_controls == EPTP_5_LEVELS
        || params.eptp_controls == EPTP_4_LEVELS && !needs_five;
    require(is_eptp, Operand::EptpControls)?;
    let frequency = params.tsc_frequency_25mhz;
    require(TSC_FREQUENCIES.contains(&frequency), Operand::TscFrequency)?;
    check_tsc_adjust(module, m)?;
    require(is_zero(&params._rsvd_02a), Operand::Rdx)?;
    require(params.msr_config_ctls & !USES_ARCH_CAPABILITIES == 0, Operand::Rdx)?;
    require(is_zero(&params._rsvd_0e8), Operand::Rdx)?;
    check_cpuid(module, params)?;
    require(is_zero(&params._rsvd_1c0), Operand::Rdx)?;
    let config = params.ia32_arch_capabilities_config;
    let is_used = params.msr_config_ctls & USES_ARCH_CAPABILITIES != 0;
    let settable = if is_used { ARCH_CAPABILITIES } else { 0 };
    require(config & !settable == 0, Operand::ArchCapabilitiesConfig)
}

/// x87 and SSE, nothing the CPU lacks, and features that come together together.
fn is_xfam(module: &Module, xfam: u64) -> bool {
    let available = module.config.xfam & XFAM_KNOWN | XFAM_FIXED1;
    let together = |bits: u64| xfam & bits == 0 || xfam & bits == bits;
    let (avx, avx512, cet, amx) = (1 << 2, 7 << 5, 3 << 11, 3 << 17);
    xfam & XFAM_FIXED1 == XFAM_FIXED1
        && xfam & !available == 0
        && together(avx512)
        && (xfam & avx512 == 0 || xfam & avx != 0)
        && together(cet)
        && together(amx)
}

fn check_cpuid(module: &Module, params: &TdParams) -> Result<(), Refusal> {
    for (index, (values, config)) in params.cpuid_config.iter().zip(&CONFIGURABLE).enumerate() {
        let invalid = |cpuid| Refusal { cpuid, ..Operand::CpuidConfig.into() };
        let settable = |i: usize| config.direct[i] | config.allow[i];
        if (0..4).any(|i| values[i] & !settable(i) != 0) {
            return Err(invalid(cpuid_leaf(index)));
        }
        let signature = module.config.processor_signature;
        if config.leaf == 1 && values[0] != 0 && values[0] != signature {
            return Err(invalid(cpuid_leaf(index)));
        }
        // HLE and RTM come together; 1.5.01 leaves RCX zero for this one. A CPU that has
        // them has TSX_CTRL here: never INCORRECT_MSR_VALUE.
        let tsx = values[1] & module.config.cpuid_config[index][1] & TSX;
        if index == LEAF_7 && tsx != 0 && tsx != TSX {
            return Err(invalid(0));
        }
    }
    Ok(())
}
