//! CPUID in a TD. [ABI-G 9]
//!
//! Every CPUID of a TD exits. The answer is built on the spot from the platform's
//! values and the TD's configuration; the real module builds it once at
//! TDH.MNG.INIT, which cannot be told apart.

use abi::attributes::Xfam;

use super::cpuid_table::{BY_XFAM, CONFIGURABLE, CPUID_CONFIGS, ROWS, Row, TABLE};
use super::platform::{self, MAX_BASIC_LEAF, MAX_EXTENDED_LEAF};
use super::{NativeCpuid, TdFeatures, cr, xsave};
use crate::machine::CpuMode;

/// What a CPUID exit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuidAnswer {
    /// EAX, EBX, ECX, EDX; the upper halves of the registers become 0.
    Values([u32; 4]),
    /// #VE with reason 10, qualification 0.
    Ve,
}

/// What of the vCPU CPUID depends on, besides its mode.
#[derive(Clone, Copy, Debug)]
pub struct CpuidVcpu<'a> {
    /// VCPU_INDEX.
    pub index: u32,
    /// IA32_XSS as the guest reads it.
    pub xss: u64,
    /// CPUID_SUPERVISOR_VE is not 0.
    pub supervisor_ve: bool,
    /// CPUID_USER_VE is not 0.
    pub user_ve: bool,
    /// CPUID_CONTROL: bit 0 asks for #VE at CPL 0, bit 1 at CPL > 0, by row.
    pub control: &'a [u8; 128],
}

/// A feature whose instruction or MSR behaves differently in a TD that does not see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// MONITOR and MWAIT: #VE 39/36 if not seen, native if seen.
    Monitor,
    /// UMONITOR, UMWAIT, TPAUSE: #UD if not seen. IA32_UMWAIT_CONTROL.
    Waitpkg,
    /// PCONFIG: #UD if not seen, #VE 65 if seen.
    Pconfig,
    /// 57-bit linear addresses.
    La57,
    /// IA32_TSC_DEADLINE: #GP if not seen, #VE if seen.
    TscDeadline,
    /// Direct cache access.
    Dca,
    /// Memory encryption MSRs.
    Tme,
    /// HLE and RTM.
    Tsx,
    /// Extended feature disable.
    Xfd,
}

/// Answers CPUID of `leaf` (EAX) and `subleaf` (ECX).
pub fn answer(
    leaf: u32,
    subleaf: u32,
    td: &TdFeatures,
    mode: &CpuMode,
    vcpu: &CpuidVcpu<'_>,
    native: &NativeCpuid<'_>,
) -> CpuidAnswer {
    let leaf = if is_beyond_the_last(leaf) { MAX_BASIC_LEAF } else { leaf };
    let Some((index, row)) = find(leaf, subleaf) else { return CpuidAnswer::Ve };
    let Some(values) = stored(row, td, native) else { return CpuidAnswer::Ve };
    let control = vcpu.control.get(index).copied().unwrap_or(0);
    let asks_for_ve = match mode.cpl {
        0 => vcpu.supervisor_ve || control & 1 != 0,
        _ => vcpu.user_ve || control & 2 != 0,
    };
    if asks_for_ve {
        return CpuidAnswer::Ve;
    }
    CpuidAnswer::Values(dynamic(row, values, mode, vcpu, native))
}

/// True if CPUID shows `feature` to this TD (where a vCPU could hide it, if it does not).
pub fn shows(feature: Feature, td: &TdFeatures, native: &NativeCpuid<'_>) -> bool {
    let (leaf, subleaf, register, mask) = match feature {
        Feature::Monitor => (0x1, 0, 2, 1 << 3),
        Feature::Dca => (0x1, 0, 2, 1 << 18),
        Feature::TscDeadline => (0x1, 0, 2, 1 << 24),
        Feature::Tsx => (0x7, 0, 1, 1 << 4 | 1 << 11),
        Feature::Waitpkg => (0x7, 0, 2, 1 << 5),
        Feature::Tme => (0x7, 0, 2, 1 << 13),
        Feature::La57 => (0x7, 0, 2, 1 << 16),
        Feature::Pconfig => (0x7, 0, 3, 1 << 18),
        Feature::Xfd => (0xd, 1, 0, 1 << 4),
    };
    find(leaf, subleaf)
        .and_then(|(_, row)| stored(row, td, native))
        .and_then(|values| values.get(register).copied())
        .is_some_and(|value: u32| value & mask == mask)
}

/// The check of TDH.MNG.INIT on TD_PARAMS.CPUID_CONFIG. [ABI-H 4.1, 4.3]
///
/// `platform_fms` is CPUID(1).EAX of the platform. The error is the leaf and sub-leaf
/// (all ones if the leaf has none) of the first entry that is refused.
pub fn check_config(
    config: &[[u32; 4]; CPUID_CONFIGS],
    platform_fms: u32,
) -> Result<(), (u32, u32)> {
    for (entry, values) in CONFIGURABLE.iter().zip(config) {
        let settable = entry.direct.iter().zip(&entry.allow).map(|(direct, allow)| direct | allow);
        let unknown = values.iter().zip(settable).any(|(value, settable)| value & !settable != 0);
        let fms = values.first().copied().unwrap_or(0);
        let wrong_fms = entry.leaf == 1 && fms != 0 && fms != platform_fms & FMS_MASK;
        if unknown || wrong_fms {
            return Err((entry.leaf, entry.subleaf.unwrap_or(u32::MAX)));
        }
    }
    Ok(())
}

const FMS_MASK: u32 = 0x0fff_3fff;

fn is_beyond_the_last(leaf: u32) -> bool {
    match leaf {
        0x4000_0000..=0x4fff_ffff => false,
        0..0x8000_0000 => leaf > MAX_BASIC_LEAF,
        _ => leaf > MAX_EXTENDED_LEAF,
    }
}

fn find(leaf: u32, subleaf: u32) -> Option<(usize, &'static Row)> {
    const ROWS_OF_TABLE: &[Row; ROWS] = &TABLE;
    ROWS_OF_TABLE
        .iter()
        .enumerate()
        .find(|(_, row)| row.leaf == leaf && row.subleaf.is_none_or(|own| own == subleaf))
}

/// The values that do not change while the TD lives; `None` if the row gives #VE.
fn stored(row: &Row, td: &TdFeatures, native: &NativeCpuid<'_>) -> Option<[u32; 4]> {
    let subleaf = row.subleaf.unwrap_or(0);
    let from_native = row.native?;
    let mut values = platform::cpuid(row.leaf, subleaf, native);
    combine(&mut values, &from_native, |value, mask| value & mask);
    combine(&mut values, &row.fixed, |value, bits| value | bits);
    let configured = CONFIGURABLE.iter().zip(&td.cpuid_config);
    for (entry, config) in configured.filter(|(entry, _)| is_row_of(row, entry.leaf, entry.subleaf))
    {
        let mut direct = *config;
        combine(&mut direct, &entry.direct, |config, direct| config & direct);
        combine(&mut values, &direct, |value, direct| value | direct);
        let mut hidden = entry.allow;
        combine(&mut hidden, config, |allow, config| allow & !config);
        combine(&mut values, &hidden, |value, hidden| value & !hidden);
    }
    for (leaf, of, state, bits) in &BY_XFAM {
        if row.leaf == *leaf && subleaf == *of && !td.has(*state) {
            combine(&mut values, bits, |value, bits| value & !bits);
        }
    }
    fix_up(row.leaf, subleaf, td, &mut values, native);
    Some(values)
}

fn is_row_of(row: &Row, leaf: u32, subleaf: Option<u32>) -> bool {
    row.leaf == leaf && row.subleaf == subleaf
}

fn combine(values: &mut [u32; 4], with: &[u32; 4], by: fn(u32, u32) -> u32) {
    for (value, with) in values.iter_mut().zip(with) {
        *value = by(*value, *with);
    }
}

/// What a mask cannot say.
fn fix_up(
    leaf: u32,
    subleaf: u32,
    td: &TdFeatures,
    values: &mut [u32; 4],
    native: &NativeCpuid<'_>,
) {
    let xfam = td.xfam.bits();
    let [eax, ebx, ecx, _] = values;
    let is_shown = match (leaf, subleaf) {
        (0x5, _) => shows(Feature::Monitor, td, native),
        (0xa, _) => td.perfmon(),
        (0xd, 2..) => xfam.checked_shr(subleaf).unwrap_or(0) & 1 != 0,
        (0x14, _) => td.has(Xfam::PT),
        (0x1c, _) => td.has(Xfam::LBR),
        (0x1d, _) => td.has(Xfam::AMX),
        _ => true,
    };
    match (leaf, subleaf) {
        _ if !is_shown => *values = [0; 4],
        (0x1, _) if *eax == 0 => *eax = platform::cpuid(1, 0, native)[0] & FMS_MASK,
        (0x7, 0) => *ecx |= u32::from(td.pks()) << 31,
        (0xd, 0) => {
            *eax &= low(xfam);
            *ecx = xsave::standard_size(td.xcr0_mask(), native);
        }
        (0xd, 1) => {
            *ecx &= low(xfam);
            if !xsave::any_supports_xfd(td.xfam.bits(), native) {
                *eax &= !(1 << 4);
            }
        }
        (0x15, _) => *ebx = u32::from(td.tsc_frequency_25mhz),
        (0x8000_0008, _) => {
            let la57 = shows(Feature::La57, td, native);
            *eax |= if la57 { 57 << 8 } else { 48 << 8 };
        }
        _ => {}
    }
}

/// What follows the state of the vCPU.
fn dynamic(
    row: &Row,
    mut values: [u32; 4],
    mode: &CpuMode,
    vcpu: &CpuidVcpu<'_>,
    native: &NativeCpuid<'_>,
) -> [u32; 4] {
    let [eax, ebx, ecx, edx] = &mut values;
    match (row.leaf, row.subleaf) {
        (0x1, _) => {
            *ebx |= (vcpu.index & 0xff) << 24;
            *ecx |= u32::from(mode.cr4 & cr::CR4_OSXSAVE != 0) << 27;
        }
        (0x7, Some(0)) => *ecx |= u32::from(mode.cr4 & cr::CR4_PKE != 0) << 4,
        (0xd, Some(0)) => *ebx = xsave::standard_size(mode.xcr0, native),
        // Without XSAVEC and XSAVES there is no compacted form. [SDM2 CPUID]
        (0xd, Some(1)) if *eax & (1 << 1 | 1 << 3) != 0 => {
            *ebx = xsave::compacted_size(mode.xcr0 | vcpu.xss, native);
        }
        (0x8000_0001, _) => *edx |= u32::from(mode.long64) << 11,
        _ => {}
    }
    values
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
const fn low(value: u64) -> u32 {
    value as u32
}

#[cfg(test)]
mod tests;
