//! RDMSR and WRMSR in a TD. [ABI-G 8]
//!
//! CPL 0 and the index are given: a CPL above 0 is #GP before anything else, by the
//! CPU. What a real CPU's registers would do with a value, its #GP included, is in
//! `native_read` and `native_write`; TCG itself never gives #GP for an MSR [SVM B1.17].

use abi::attributes::Xfam;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::cpuid;
use super::cr::{self, CrWrite};
use super::msr_table::{Access, Condition, find};
use super::{NativeCpuid, TdFeatures, platform, vmx, xcr};

/// MSRs that the CPU underneath has and that `svm/` reads, writes and switches.
///
/// A value to write has passed the checks that make WRMSR #GP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NativeMsr {
    /// Read only here: the virtual TSC (TSC_OFFSET does not reach RDMSR [SVM B1.21]).
    Tsc,
    /// VMCB save area.
    SysenterCs,
    /// VMCB save area.
    SysenterEsp,
    /// VMCB save area.
    SysenterEip,
    /// Shared between L1 and L2 under TCG: switch. [SVM B1.20]
    Pat,
    /// VMCB save area, where SVME is set too: reads go through [`cr::read_efer`].
    Efer,
    /// VMCB save area.
    Star,
    /// VMCB save area.
    Lstar,
    /// VMCB save area.
    Fmask,
    /// VMCB save area.
    FsBase,
    /// VMCB save area.
    GsBase,
    /// VMCB save area.
    KernelGsBase,
    /// Shared between L1 and L2: switch.
    TscAux,
}

/// MSRs of a vCPU that the CPU underneath does not have: plain values that the module
/// keeps in the TDVPS. All are 0 after TDH.VP.INIT.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct StoredMsrs {
    /// IA32_XSS.
    pub xss: u64,
    /// IA32_SPEC_CTRL.
    pub spec_ctrl: u64,
    /// IA32_DEBUGCTL.
    pub debugctl: u64,
    /// IA32_DS_AREA.
    pub ds_area: u64,
    /// IA32_UARCH_MISC_CTL.
    pub uarch_misc_ctl: u64,
}

/// What RDMSR does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MsrRead {
    /// EDX:EAX take this value.
    Value(u64),
    /// EDX:EAX take the value of this register.
    Native(NativeMsr),
    /// [`Vapic::read_msr`](super::apic::Vapic::read_msr) has the answer.
    Apic,
    /// #VE with reason 31, qualification 0.
    Ve,
    /// #GP(0).
    Gp,
}

/// What WRMSR does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MsrWrite {
    /// The instruction is done; [`StoredMsrs`] may have changed.
    Done,
    /// This register takes this value.
    Native(NativeMsr, u64),
    /// [`Vapic::write_msr`](super::apic::Vapic::write_msr) has the answer.
    Apic,
    /// #VE with reason 32, qualification 0.
    Ve,
    /// #GP(0).
    Gp,
}

/// RDMSR of `index` at CPL 0.
pub fn read(index: u32, td: &TdFeatures, msrs: &StoredMsrs, native: &NativeCpuid<'_>) -> MsrRead {
    let (access, _) = find(index);
    match access {
        Access::Native => native_read(index, msrs),
        Access::NativeIf(condition) if holds(condition, td, native) => native_read(index, msrs),
        Access::Emulated => emulated_read(index, td, msrs, native),
        Access::Apic => MsrRead::Apic,
        Access::Ve => MsrRead::Ve,
        Access::VeIf(condition) if holds(condition, td, native) => MsrRead::Ve,
        Access::NativeIf(_) | Access::VeIf(_) | Access::Gp => MsrRead::Gp,
    }
}

/// WRMSR of `value` to `index` at CPL 0, while the guest reads EFER as `efer`.
pub fn write(
    index: u32,
    value: u64,
    efer: u64,
    td: &TdFeatures,
    msrs: &mut StoredMsrs,
    native: &NativeCpuid<'_>,
) -> MsrWrite {
    let (_, access) = find(index);
    match access {
        Access::Native => native_write(index, value, msrs),
        Access::NativeIf(condition) if holds(condition, td, native) => {
            native_write(index, value, msrs)
        }
        Access::Emulated => emulated_write(index, value, efer, td, msrs),
        Access::Apic => MsrWrite::Apic,
        Access::Ve => MsrWrite::Ve,
        Access::VeIf(condition) if holds(condition, td, native) => MsrWrite::Ve,
        Access::NativeIf(_) | Access::VeIf(_) | Access::Gp => MsrWrite::Gp,
    }
}

fn holds(condition: Condition, td: &TdFeatures, native: &NativeCpuid<'_>) -> bool {
    match condition {
        Condition::Perfmon => td.perfmon(),
        // The platform's IA32_PERF_CAPABILITIES is 0.
        Condition::PerfMetrics => false,
        Condition::Pks => td.pks(),
        Condition::ProcessorTrace => td.has(Xfam::PT),
        Condition::Cet => td.xfam.intersects(Xfam::CET),
        Condition::UserInterrupts => td.has(Xfam::UINTR),
        Condition::Lbr => td.has(Xfam::LBR),
        Condition::Shown(feature) => cpuid::shows(feature, td, native),
    }
}

/// The register of `index`, if the CPU underneath has it.
const fn native_msr(index: u32) -> Option<NativeMsr> {
    Some(match index {
        0x10 => NativeMsr::Tsc,
        0x174 => NativeMsr::SysenterCs,
        0x175 => NativeMsr::SysenterEsp,
        0x176 => NativeMsr::SysenterEip,
        0x277 => NativeMsr::Pat,
        0xc000_0080 => NativeMsr::Efer,
        0xc000_0081 => NativeMsr::Star,
        0xc000_0082 => NativeMsr::Lstar,
        0xc000_0084 => NativeMsr::Fmask,
        0xc000_0100 => NativeMsr::FsBase,
        0xc000_0101 => NativeMsr::GsBase,
        0xc000_0102 => NativeMsr::KernelGsBase,
        0xc000_0103 => NativeMsr::TscAux,
        _ => return None,
    })
}

/// RDMSR as the platform's CPU does it: #GP where it has no such register.
fn native_read(index: u32, msrs: &StoredMsrs) -> MsrRead {
    if let Some(msr) = native_msr(index) {
        return MsrRead::Native(msr);
    }
    MsrRead::Value(match index {
        0x48 => msrs.spec_ctrl,
        0xbc => platform::MISC_PACKAGE_CTLS,
        0x600 => msrs.ds_area,
        0xc80 => platform::DEBUG_INTERFACE,
        0xda0 => msrs.xss,
        0x1b01 => msrs.uarch_misc_ctl,
        // PRED_CMD and FLUSH_CMD are write-only.
        _ => return MsrRead::Gp,
    })
}

/// WRMSR as the platform's CPU does it: #GP for reserved bits, addresses that are not
/// canonical, registers that are read-only or that it has not.
fn native_write(index: u32, value: u64, msrs: &mut StoredMsrs) -> MsrWrite {
    let is_legal = match index {
        0x48 => value & !platform::SPEC_CTRL_MASK == 0,
        0x49 | 0x10b | 0x1b01 => value & !1 == 0,
        0x175 | 0x176 | 0x600 | 0xc000_0082 | 0xc000_0100..=0xc000_0102 => is_canonical(value),
        0x277 => value.to_le_bytes().into_iter().all(|entry| matches!(entry, 0 | 1 | 4..=7)),
        0xc000_0084 | 0xc000_0103 => value >> 32 == 0,
        _ => true,
    };
    if !is_legal {
        return MsrWrite::Gp;
    }
    match index {
        0x48 => msrs.spec_ctrl = value,
        // IBPB and L1D_FLUSH: TCG has no predictor and no cache.
        0x49 | 0x10b => {}
        0x600 => msrs.ds_area = value,
        0x1b01 => msrs.uarch_misc_ctl = value,
        _ => return native_msr(index).map_or(MsrWrite::Gp, |msr| MsrWrite::Native(msr, value)),
    }
    MsrWrite::Done
}

fn emulated_read(
    index: u32,
    td: &TdFeatures,
    msrs: &StoredMsrs,
    native: &NativeCpuid<'_>,
) -> MsrRead {
    MsrRead::Value(match index {
        0xbd => 1,
        0x10a => arch_capabilities(td, native),
        0x1a0 if td.perfmon() => platform::MISC_ENABLE,
        0x1a0 => platform::MISC_ENABLE & !MISC_PERFMON | MISC_NO_PEBS,
        0x1d9 => msrs.debugctl & !DEBUGCTL_UNCORE_PMI,
        // IA32_PERF_CAPABILITIES: 0 without PERFMON, and the platform has 0.
        0x345 => 0,
        _ => return vmx::read(index, td, native).map_or(MsrRead::Ve, MsrRead::Value),
    })
}

const MISC_PERFMON: u64 = 1 << 7;
const MISC_NO_PEBS: u64 = 1 << 12;
const DEBUGCTL_UNCORE_PMI: u64 = 1 << 13;

fn emulated_write(
    index: u32,
    value: u64,
    efer: u64,
    td: &TdFeatures,
    msrs: &mut StoredMsrs,
) -> MsrWrite {
    match index {
        0x1d9 => return write_debugctl(value, msrs),
        0xda0 if xcr::is_valid_xss(value, td) => msrs.xss = value,
        0xda0 => return MsrWrite::Gp,
        0xc000_0080 => {
            return match cr::write_efer(value, efer) {
                CrWrite::Write(efer) => MsrWrite::Native(NativeMsr::Efer, efer),
                CrWrite::Gp => MsrWrite::Gp,
                CrWrite::Ve => MsrWrite::Ve,
            };
        }
        _ => return MsrWrite::Ve,
    }
    MsrWrite::Done
}

fn write_debugctl(value: u64, msrs: &mut StoredMsrs) -> MsrWrite {
    const RESERVED: u64 = 0xffff_ffff_ffff_0038;
    const TR: u64 = 1 << 6;
    const BTS: u64 = 1 << 7;
    if value & RESERVED != 0 {
        return MsrWrite::Gp;
    }
    if value & TR != 0 && value & BTS == 0 {
        return MsrWrite::Ve;
    }
    msrs.debugctl = value & !DEBUGCTL_UNCORE_PMI | msrs.debugctl & DEBUGCTL_UNCORE_PMI;
    MsrWrite::Done
}

/// The virtual IA32_ARCH_CAPABILITIES. SSB_NO, BHI_NO and PBRSB_NO stay 0 whatever the
/// VMM allows, because the platform's value lacks them; RRSBA is the VMM's to force.
fn arch_capabilities(td: &TdFeatures, native: &NativeCpuid<'_>) -> u64 {
    const TSX_CTRL: u64 = 1 << 7;
    const RRSBA: u64 = 1 << 19;
    let tsx = if cpuid::shows(cpuid::Feature::Tsx, td, native) { TSX_CTRL } else { 0 };
    platform::ARCH_CAPABILITIES | tsx | td.arch_capabilities_config & RRSBA
}

/// Canonical for 57 bits.
const fn is_canonical(address: u64) -> bool {
    let sign = address.cast_signed() >> 56;
    sign == 0 || sign == -1
}

#[cfg(test)]
mod tests;
