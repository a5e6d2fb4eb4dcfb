//! CR0, CR4, LMSW, CLTS and EFER. [ABI-G 7]
//!
//! `svm/` intercepts every write to CR0 and CR4 (TCG ends VMRUN with an error instead
//! of #GP if a reserved bit gets through [SVM B1.4]), so these functions also hold the
//! rules that a CPU applies by itself. A VM exit of the real module goes before those:
//! what both forbid, the module answers.
//!
//! Reads need no shadow: the VMCB never holds CR4.VMXE, and CR0.NE and CR4.MCE are
//! really set, so a guest reads the VMCB's values.

use super::{NativeCpuid, TdFeatures, platform};
use crate::machine::CpuMode;

/// CR0 protected mode.
pub const CR0_PE: u64 = 1 << 0;
/// CR0 task switched.
pub const CR0_TS: u64 = 1 << 3;
/// CR0 extension type, always 1.
pub const CR0_ET: u64 = 1 << 4;
/// CR0 numeric error, always 1 in a TD.
pub const CR0_NE: u64 = 1 << 5;
/// CR0 write protect.
pub const CR0_WP: u64 = 1 << 16;
/// CR0 not write-through.
pub const CR0_NW: u64 = 1 << 29;
/// CR0 cache disable.
pub const CR0_CD: u64 = 1 << 30;
/// CR0 paging.
pub const CR0_PG: u64 = 1 << 31;
/// CR0 bits that writes do not change: 15:6, 17, 28:19.
const CR0_IGNORED: u64 = 0xffc0 | 1 << 17 | 0x1ff8_0000;
/// CR0 bits that LMSW changes in a TD: MP, EM, TS.
const CR0_LMSW: u64 = 0xe;
/// CR0 after TDH.VP.INIT, as the guest reads it. [ABI-G 6]
pub const CR0_INIT: u64 = CR0_PE | CR0_ET | CR0_NE;

/// CR4 physical address extension.
pub const CR4_PAE: u64 = 1 << 5;
/// CR4 machine check, always 1 in a TD.
pub const CR4_MCE: u64 = 1 << 6;
/// CR4 57-bit linear addresses.
pub const CR4_LA57: u64 = 1 << 12;
/// CR4 VMX, always 0 in a TD.
pub const CR4_VMXE: u64 = 1 << 13;
/// CR4 SMX, always 0 in a TD.
pub const CR4_SMXE: u64 = 1 << 14;
/// CR4 XSETBV and XSAVE.
pub const CR4_OSXSAVE: u64 = 1 << 18;
/// CR4 user protection keys.
pub const CR4_PKE: u64 = 1 << 22;
/// CR4 control-flow enforcement.
pub const CR4_CET: u64 = 1 << 23;
/// CR4 supervisor protection keys.
pub const CR4_PKS: u64 = 1 << 24;
/// CR4 after TDH.VP.INIT, as the guest reads it. [ABI-G 6]
pub const CR4_INIT: u64 = CR4_MCE;

/// EFER system-call enable.
pub const EFER_SCE: u64 = 1 << 0;
/// EFER long mode active.
pub const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
/// EFER SVM enable: the VMCB's EFER has it, the guest's does not.
pub const EFER_SVME: u64 = 1 << 12;
/// EFER after TDH.VP.INIT, as the guest reads it: SCE, LME, NXE. [ABI-G 6]
pub const EFER_INIT: u64 = 0x901;

/// What a write to a control register or to EFER does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrWrite {
    /// The register takes this value.
    Write(u64),
    /// #GP(0).
    Gp,
    /// #VE with reason 28 and the qualification of the access (EFER: reason 32).
    Ve,
}

/// MOV of `new` to CR0. After `Write`, EFER follows by [`efer_for_cr0`].
pub const fn write_cr0(new: u64, mode: &CpuMode) -> CrWrite {
    if new & CR0_NE == 0 || new >> 32 != 0 {
        return CrWrite::Gp;
    }
    if new & CR0_PG != 0 && new & CR0_PE == 0 {
        return CrWrite::Gp;
    }
    if new & CR0_WP == 0 && mode.cr4 & CR4_CET != 0 {
        return CrWrite::Gp;
    }
    if new & CR0_PE == 0 || new & (CR0_NW | CR0_CD) != 0 {
        return CrWrite::Ve;
    }
    // EFER.LME is always 1: paging is long mode, and needs PAE; 64-bit code cannot leave it.
    let is_paging = mode.cr0 & CR0_PG != 0;
    let wants_paging = new & CR0_PG != 0;
    if wants_paging && mode.cr4 & CR4_PAE == 0 || is_paging && !wants_paging && mode.long64 {
        return CrWrite::Gp;
    }
    CrWrite::Write(new & !CR0_IGNORED | mode.cr0 & CR0_IGNORED | CR0_ET)
}

/// MOV of `new` to CR4.
pub fn write_cr4(new: u64, mode: &CpuMode, td: &TdFeatures, native: &NativeCpuid<'_>) -> CrWrite {
    if new & !(cr4_available(td, native) | CR4_VMXE | CR4_SMXE) != 0 {
        return CrWrite::Gp;
    }
    if new & CR4_CET != 0 && mode.cr0 & CR0_WP == 0 {
        return CrWrite::Gp;
    }
    if new & CR4_MCE == 0 || new & (CR4_VMXE | CR4_SMXE) != 0 {
        return CrWrite::Ve;
    }
    let is_long = mode.cr0 & CR0_PG != 0;
    if is_long && (new & CR4_PAE == 0 || (new ^ mode.cr4) & CR4_LA57 != 0) {
        return CrWrite::Gp;
    }
    CrWrite::Write(new)
}

/// The CR4 bits that the CPU has and the TD's XFAM and ATTRIBUTES let it set.
///
/// PCIDE, KL, CET and UINTR are never among them: no TCG has them (see
/// [`platform`]), or no TD may.
pub fn cr4_available(td: &TdFeatures, native: &NativeCpuid<'_>) -> u64 {
    /// TSD, DE, PSE, PAE, MCE, PGE, PCE, OSFXSR, OSXMMEXCPT: every x86-64 CPU.
    const ALWAYS: u64 = 0x7fc;
    let [_, _, ecx_1, edx_1] = platform::cpuid(0x1, 0, native);
    let [_, ebx_7, ecx_7, _] = platform::cpuid(0x7, 0, native);
    let by_cpu = [
        (edx_1, 1, 0b11), // VME and PVI
        (ecx_7, 2, 1 << 11),
        (ecx_7, 16, CR4_LA57),
        (ebx_7, 0, 1 << 16),
        (ecx_1, 26, CR4_OSXSAVE),
        (ebx_7, 7, 1 << 20),
        (ebx_7, 20, 1 << 21),
        (ecx_7, 3, CR4_PKE),
        (ecx_7, 31, CR4_PKS),
    ];
    let supported = by_cpu.iter().filter(|(register, bit, _)| register >> bit & 1 != 0);
    let mut available = supported.fold(ALWAYS, |available, (_, _, bits)| available | bits);
    if !td.has(abi::attributes::Xfam::PKRU) {
        available &= !CR4_PKE;
    }
    if !td.pks() {
        available &= !CR4_PKS;
    }
    available
}

/// The CR0 after LMSW of `source`: PE stays 1, the rest is not LMSW's.
pub const fn lmsw(cr0: u64, source: u16) -> u64 {
    cr0 & !CR0_LMSW | source as u64 & CR0_LMSW
}

/// The CR0 after CLTS.
pub const fn clts(cr0: u64) -> u64 {
    cr0 & !CR0_TS
}

/// The EFER that a guest reads from the VMCB's `efer`.
pub const fn read_efer(efer: u64) -> u64 {
    efer & !EFER_SVME
}

/// EFER after CR0 became `cr0`: LMA follows PG, because LME is always 1.
pub const fn efer_for_cr0(efer: u64, cr0: u64) -> u64 {
    if cr0 & CR0_PG != 0 { efer | EFER_LMA } else { efer & !EFER_LMA }
}

/// WRMSR of `new` to EFER, which the guest reads as `old`: only SCE may change, and
/// LMA does not count.
pub const fn write_efer(new: u64, old: u64) -> CrWrite {
    if (new ^ old) & !(EFER_SCE | EFER_LMA) != 0 {
        return CrWrite::Ve;
    }
    CrWrite::Write(old & !EFER_SCE | new & EFER_SCE)
}

#[cfg(test)]
mod tests;
