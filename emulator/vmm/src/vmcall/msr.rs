//! Instruction.RDMSR and Instruction.WRMSR: KVM's list of MSRs. [TDVF 4.5]
//!
//! | MSR | read | write |
//! |---|---|---|
//! | APIC_BASE | x2APIC at 0xFEE00000, boot processor | refused |
//! | EFER, FEATURE_CONTROL | SCE LME LMA NXE; locked | refused |
//! | 0x802-0x83E but the module's, TSC_DEADLINE | the vCPU's APIC | the same |
//! | MTRRs, PAT | stored | stored if the types are legal |
//! | machine-check banks | stored | stored; status takes only 0 |
//! | MISC_ENABLE, MISC_FEATURES, POWER_CTL, POLL_CONTROL | stored | stored |
//! | microcode revision | a constant | ignored |
//! | ARCH_CAPABILITIES, PLATFORM_INFO, MCG_CAP | a constant | refused |
//! | everything else | refused | refused |
//!
//! Stored values have no other effect: the module and the real processor keep what counts.

use crate::lapic::{Effect, Lapic, Now, TSC_DEADLINE};

const APIC_BASE: u32 = 0x1B;
const FEATURE_CONTROL: u32 = 0x3A;
const UCODE_REVISION: u32 = 0x8B;
const PLATFORM_INFO: u32 = 0xCE;
const MTRR_CAPABILITIES: u32 = 0xFE;
const ARCH_CAPABILITIES: u32 = 0x10A;
const MISC_FEATURES: u32 = 0x140;
const MCG_CAP: u32 = 0x179;
const MCG_STATUS: u32 = 0x17A;
const MCG_CTL: u32 = 0x17B;
const MISC_ENABLE: u32 = 0x1A0;
const POWER_CTL: u32 = 0x1FC;
const PAT: u32 = 0x277;
const EFER: u32 = 0xC000_0080;
const POLL_CONTROL: u32 = 0x4B56_4D05;
const MC_BANKS: u32 = 0x400;

/// 0xFEE00000, enabled, x2APIC, boot processor. [SDM3 12.12.1]
const APIC_BASE_VALUE: u64 = 0xFEE0_0000 | 1 << 11 | 1 << 10 | 1 << 8;
/// SCE, LME, LMA, NXE.
const EFER_VALUE: u64 = 0xD01;
const FEATURE_CONTROL_LOCKED: u64 = 1;
/// KVM's revision for a processor whose microcode is nobody's business.
const UCODE_VALUE: u64 = 1 << 32;
/// CPUID faulting may be enabled.
const PLATFORM_INFO_VALUE: u64 = 1 << 31;
/// Eight variable ranges, fixed ranges, write-combining.
const MTRR_CAPABILITIES_VALUE: u64 = 8 | 1 << 8 | 1 << 10;
const BANKS: usize = 10;
/// Ten banks, MCG_CTL, software error recovery: QEMU's.
const MCG_CAP_VALUE: u64 = BANKS as u64 | 1 << 8 | 1 << 24;

/// MSRs that hold what was written: index, value at reset.
const STORED: [(u32, u64); 36] = [
    (MISC_FEATURES, 0),
    (MCG_STATUS, 0),
    (MCG_CTL, u64::MAX),
    (MISC_ENABLE, 1),
    (POWER_CTL, 0),
    (0x200, 0),
    (0x201, 0),
    (0x202, 0),
    (0x203, 0),
    (0x204, 0),
    (0x205, 0),
    (0x206, 0),
    (0x207, 0),
    (0x208, 0),
    (0x209, 0),
    (0x20A, 0),
    (0x20B, 0),
    (0x20C, 0),
    (0x20D, 0),
    (0x20E, 0),
    (0x20F, 0),
    (0x250, 0),
    (0x258, 0),
    (0x259, 0),
    (0x268, 0),
    (0x269, 0),
    (0x26A, 0),
    (0x26B, 0),
    (0x26C, 0),
    (0x26D, 0),
    (0x26E, 0),
    (0x26F, 0),
    (PAT, 0x0007_0406_0007_0406),
    (MTRR_DEFAULT, 0),
    (POLL_CONTROL, 1),
    (MTRR_CAPABILITIES, MTRR_CAPABILITIES_VALUE),
];
const MTRR_DEFAULT: u32 = 0x2FF;

/// The values of one vCPU.
#[derive(Clone, Debug)]
pub struct Msrs {
    stored: [u64; STORED.len()],
    /// {CTL, STATUS, ADDR, MISC} of each machine-check bank.
    banks: [u64; 4 * BANKS],
}

impl Msrs {
    /// The state after reset.
    #[must_use]
    pub fn new() -> Self {
        let mut banks = [0; 4 * BANKS];
        banks.iter_mut().step_by(4).for_each(|control| *control = u64::MAX);
        Self { stored: STORED.map(|(_, value)| value), banks }
    }

    /// RDMSR. `None`: refused.
    #[must_use]
    pub fn read(&self, lapic: &Lapic, index: u32, now: Now) -> Option<u64> {
        Some(match index {
            APIC_BASE => APIC_BASE_VALUE,
            EFER => EFER_VALUE,
            FEATURE_CONTROL => FEATURE_CONTROL_LOCKED,
            UCODE_REVISION => UCODE_VALUE,
            PLATFORM_INFO => PLATFORM_INFO_VALUE,
            ARCH_CAPABILITIES => 0,
            MCG_CAP => MCG_CAP_VALUE,
            TSC_DEADLINE | 0x800..=0x8FF => lapic.read(index, now)?,
            _ => match (slot(index), bank(index)) {
                (Some(slot), _) => self.stored[slot],
                (_, Some(bank)) => self.banks[bank],
                _ => return None,
            },
        })
    }

    /// WRMSR. `None`: refused.
    pub fn write(&mut self, lapic: &mut Lapic, index: u32, value: u64, now: Now) -> Option<Effect> {
        match index {
            UCODE_REVISION => {}
            TSC_DEADLINE | 0x800..=0x8FF => return lapic.write(index, value, now),
            _ => match (slot(index), bank(index)) {
                (Some(slot), _) if is_legal(index, value) => self.stored[slot] = value,
                (_, Some(bank)) if bank % 4 != 1 || value == 0 => self.banks[bank] = value,
                _ => return None,
            },
        }
        Some(Effect::None)
    }
}

impl Default for Msrs {
    fn default() -> Self {
        Self::new()
    }
}

fn slot(index: u32) -> Option<usize> {
    STORED.iter().position(|(stored, _)| *stored == index)
}

fn bank(index: u32) -> Option<usize> {
    let offset = usize::try_from(index.checked_sub(MC_BANKS)?).ok()?;
    (offset < 4 * BANKS).then_some(offset)
}

/// What KVM checks before it stores.
fn is_legal(index: u32, value: u64) -> bool {
    let memory_type = |kind: u8| matches!(kind, 0 | 1 | 4 | 5 | 6);
    match index {
        PAT => value.to_le_bytes().into_iter().all(|kind| memory_type(kind) || kind == 7),
        0x250..=0x26F => value.to_le_bytes().into_iter().all(memory_type),
        MTRR_DEFAULT => value & !0xCFF == 0 && memory_type(value as u8),
        0x200..=0x20F if index & 1 == 0 => {
            value & 0xFFF0_0000_0000_0F00 == 0 && memory_type(value as u8)
        }
        0x200..=0x20F => value & 0xFFF0_0000_0000_07FF == 0,
        MCG_CTL => value == 0 || value == u64::MAX,
        MISC_FEATURES | POLL_CONTROL => value <= 1,
        MTRR_CAPABILITIES => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Now = Now { ns: 0, tsc: 0 };

    #[test]
    fn the_list_is_that_of_kvm() {
        let (mut msrs, mut lapic) = (Msrs::new(), Lapic::new(0));
        for (index, value) in [
            (0x1B, 0xFEE0_0D00),
            (0x3A, 1),
            (0xC000_0080, 0xD01),
            (0x8B, 1 << 32),
            (0x802, 0),
            (0x832, 1 << 16),
            (0xFE, 0x508),
            (0x277, 0x0007_0406_0007_0406),
            (0x400, u64::MAX),
            (0x401, 0),
        ] {
            assert_eq!(msrs.read(&lapic, index, NOW), Some(value), "{index:#x}");
        }
        for refused in
            [0, 0x10, 0x17, 0xE7, 0x198, 0x210, 0x280, 0x428, 0x4D0, 0x606, 0x808, 0xC000_0083]
        {
            assert_eq!(msrs.read(&lapic, refused, NOW), None, "{refused:#x}");
            assert_eq!(msrs.write(&mut lapic, refused, 0, NOW), None, "{refused:#x}");
        }
        for read_only in [0x1B, 0x3A, 0xCE, 0xFE, 0x10A, 0x179, 0xC000_0080] {
            assert_eq!(msrs.write(&mut lapic, read_only, 0, NOW), None, "{read_only:#x}");
        }
    }

    #[test]
    fn what_is_legal_is_stored() {
        let (mut msrs, mut lapic) = (Msrs::new(), Lapic::new(0));
        for (index, value, is_legal) in [
            (0x2FF, 0xC06, true),
            (0x2FF, 0x1006, false),
            (0x200, 6, true),
            (0x200, 2, false),
            (0x201, 0xFF_C000_0800, true),
            (0x201, 1, false),
            (0x250, 0x0606_0606_0606_0606, true),
            (0x250, 0x0606_0606_0606_0602, false),
            (0x277, 0x0707_0606_0505_0404, true),
            (0x277, 8, false),
            (0x401, 0, true),
            (0x401, 1, false),
            (0x402, 1, true),
        ] {
            let before = msrs.read(&lapic, index, NOW);
            let written = msrs.write(&mut lapic, index, value, NOW);
            assert_eq!(written.is_some(), is_legal, "{index:#x} = {value:#x}");
            let expected = if is_legal { Some(value) } else { before };
            assert_eq!(msrs.read(&lapic, index, NOW), expected, "{index:#x}");
        }
    }

    proptest! {
        #[test]
        fn no_msr_panics(index in prop_oneof![0..0x1000_u32, any::<u32>()], value: u64) {
            let (mut msrs, mut lapic) = (Msrs::new(), Lapic::new(0));
            let _ = msrs.write(&mut lapic, index, value, NOW);
            let _ = msrs.read(&lapic, index, NOW);
        }
    }
}
