//! What TDH.MNG.INIT finds wrong with TD_PARAMS, in the order of its checks. [ABI-H 4.1, 4.2]

use abi::attributes::{Attributes, ConfigFlags, Xfam};
use abi::td_params::{EPTP_4_LEVELS, EPTP_5_LEVELS, TdParams};
use abi::{Operand, Status};
use zerocopy::FromZeros;

use super::invalid;

/// A fault in TD_PARAMS.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// What is wrong.
    pub name: &'static str,
    /// Makes it wrong.
    pub change: fn(&mut TdParams),
    /// What MNG.INIT says.
    pub status: Status,
    /// And RCX.
    pub rcx: u64,
}

/// TD_PARAMS without fault: two vCPUs, 48 address bits, as KVM's for the rest.
#[must_use]
pub fn good() -> TdParams {
    let mut params = TdParams::new_zeroed();
    params.attributes = Attributes::SEPT_VE_DISABLE.bits();
    params.xfam = (Xfam::X87 | Xfam::SSE).bits();
    params.max_vcpus = 2;
    params.eptp_controls = EPTP_4_LEVELS;
    params.config_flags = ConfigFlags::NO_RBP_MOD.bits();
    params.tsc_frequency_25mhz = 40;
    params.mrconfigid = [0xC1; 48];
    params.mrowner = [0xC2; 48];
    params.mrownerconfig = [0xC3; 48];
    params
}

const fn fault(name: &'static str, operand: Operand, change: fn(&mut TdParams)) -> Fault {
    Fault { name, change, status: invalid(operand), rcx: 0 }
}

const fn cpuid(name: &'static str, rcx: u64, change: fn(&mut TdParams)) -> Fault {
    Fault { name, change, status: invalid(Operand::CpuidConfig), rcx }
}

/// Sub-leaf of a CPUID leaf that has none, in RCX.
const NO_SUBLEAF: u64 = 0xFFFF_FFFF << 32;

/// In the order of the checks.
pub const FAULTS: &[Fault] = &[
    fault("ATTRIBUTES bit 1 is reserved, and everything else is wrong", Operand::Attributes, |p| {
        *p = TdParams::new_zeroed();
        p.attributes = 1 << 1;
    }),
    fault("ATTRIBUTES: a TD for migration is no debug TD", Operand::Attributes, |p| {
        p.attributes = (Attributes::MIGRATABLE | Attributes::DEBUG).bits();
    }),
    fault("ATTRIBUTES bit 62 is reserved", Operand::Attributes, |p| p.attributes |= 1 << 62),
    fault("XFAM without SSE", Operand::Xfam, |p| {
        p.xfam = 1;
        p.max_vcpus = 0;
    }),
    fault("XFAM without x87", Operand::Xfam, |p| p.xfam = 2),
    fault("XFAM with a part of AVX-512", Operand::Xfam, |p| p.xfam |= 1 << 5),
    fault("XFAM with a part of CET", Operand::Xfam, |p| p.xfam |= 1 << 11),
    fault("XFAM with a part of AMX", Operand::Xfam, |p| p.xfam |= 1 << 17),
    fault("XFAM bit 10 is reserved", Operand::Xfam, |p| p.xfam |= 1 << 10),
    fault("no vCPU", Operand::MaxVcpus, |p| {
        p.max_vcpus = 0;
        p.num_l2_vms = 4;
    }),
    fault("four nested VMs", Operand::NumL2Vms, |p| {
        p.num_l2_vms = 4;
        p._rsvd_014[0] = 1;
    }),
    fault("bytes 20-23 are reserved", Operand::Rdx, |p| {
        p._rsvd_014[3] = 1;
        p.config_flags = 1 << 3;
    }),
    fault("CONFIG_FLAGS bit 3 is reserved", Operand::ConfigFlags, |p| {
        p.config_flags |= 1 << 3;
        p.eptp_controls = 0;
    }),
    fault("EPTP_CONTROLS: uncacheable", Operand::EptpControls, |p| {
        p.eptp_controls = 3 << 3;
        p.tsc_frequency_25mhz = 0;
    }),
    fault("EPTP_CONTROLS: three levels", Operand::EptpControls, |p| p.eptp_controls = 6 | 2 << 3),
    fault("EPTP_CONTROLS: six levels", Operand::EptpControls, |p| p.eptp_controls = 6 | 5 << 3),
    fault("EPTP_CONTROLS: accessed and dirty bits", Operand::EptpControls, |p| {
        p.eptp_controls |= 1 << 6;
    }),
    fault("EPTP_CONTROLS: an address", Operand::EptpControls, |p| p.eptp_controls |= 1 << 12),
    fault("EPTP_CONTROLS bit 52 is reserved", Operand::EptpControls, |p| {
        p.eptp_controls = EPTP_5_LEVELS | 1 << 52;
    }),
    fault("four levels are too few for 52 address bits", Operand::EptpControls, |p| {
        p.config_flags |= ConfigFlags::GPAW_52.bits();
    }),
    fault("a TSC below 100 MHz", Operand::TscFrequency, |p| {
        p.tsc_frequency_25mhz = 3;
        p._rsvd_02a[0] = 1;
    }),
    fault("a TSC above 10 GHz", Operand::TscFrequency, |p| p.tsc_frequency_25mhz = 401),
    fault("bytes 42-79 are reserved", Operand::Rdx, |p| p._rsvd_02a[37] = 1),
    fault("MSR_CONFIG_CTLS bit 1 is reserved", Operand::Rdx, |p| {
        p.msr_config_ctls = 2;
        p.cpuid_config[0][0] = 1;
    }),
    fault("bytes 232-255 are reserved", Operand::Rdx, |p| {
        p._rsvd_0e8[23] = 1;
        p.cpuid_config[0][0] = 1;
    }),
    cpuid("another family, model or stepping", 1 | NO_SUBLEAF, |p| {
        p.cpuid_config[0][0] = 0x0000_0001;
        p.cpuid_config[5][0] = 1;
    }),
    cpuid("CPUID leaf 7.0 EAX is not configurable", 7, |p| {
        p.cpuid_config[5][0] = 1;
        p._rsvd_1c0[0] = 1;
    }),
    cpuid("CPUID leaf 7.1 EBX is not configurable", 7 | 1 << 32, |p| p.cpuid_config[6][1] = 1),
    cpuid("CPUID leaf 0x80000008 EAX is not configurable", 0x8000_0008 | NO_SUBLEAF, |p| {
        p.cpuid_config[9][0] = 1;
    }),
    fault("bytes 448-1023 are reserved", Operand::Rdx, |p| {
        p._rsvd_1c0[575] = 1;
        p.msr_config_ctls = 1;
        p.ia32_arch_capabilities_config = u64::MAX;
    }),
    fault("IA32_ARCH_CAPABILITIES_CONFIG bit 63", Operand::ArchCapabilitiesConfig, |p| {
        p.msr_config_ctls = 1;
        p.ia32_arch_capabilities_config = 1 << 63;
    }),
];
