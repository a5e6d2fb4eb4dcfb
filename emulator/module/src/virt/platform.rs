//! The platform under the TD: one list of where it is not the Intel CPU that the
//! contract assumes, and the CPUID that it has in consequence.
//!
//! A TDX host is an Intel CPU on which the module checks at start that certain
//! features exist ("nat = 1" in [ABI-G 9]). Here it is QEMU TCG's `-cpu max`, an AMD
//! CPU. The rule: **what CPUID shows works, what works may be hidden.** So
//!
//! 1. A "nat = 1" bit that TCG lacks reads 0. On QEMU 7.2: CPUID(1) VME, DS, DTES64,
//!    DS-CPL; CPUID(7,0) FDP_EXCPTN_ONLY, FCS/FDS deprecation, RDSEED, SHA,
//!    BUS_LOCK_DETECT, MOVDIRI, MOVDIR64B; CPUID(0xD,1) XSAVEC and XSAVES, hence
//!    CPUID(0xD,1).EBX = 0 and an IA32_XSS that only holds 0.
//! 2. PCID and INVPCID read 0 on any QEMU ([`cr`](super::cr) refuses CR4.PCIDE).
//! 3. Bits for what this module itself supplies read 1: x2APIC; PDCM (the MSR reads
//!    0); ARCH_CAPABILITIES and CORE_CAPABILITIES; and the speculation controls
//!    (MD_CLEAR, IBRS, STIBP, SSBD, L1D_FLUSH, PSFD, IPRED_CTRL, RRSBA_CTRL, BHI_CTRL):
//!    TCG does not speculate, so a stored SPEC_CTRL keeps every promise. So does PCONFIG, which
//!    every TDX host has: a TD's always raises #VE.
//! 4. Leaf 0 says GenuineIntel, and the highest extended leaf is 0x80000008 as on every
//!    Intel part with TDX, so AMD leaves such as 0x8000000A are unknown leaves, not #VE.
//! 5. MSRs that TCG lacks: [`StoredMsrs`](super::msr::StoredMsrs) where a TD may rely on
//!    them, constants below where only reading is allowed, else #GP as on a CPU without
//!    them. DEBUGCTL is stored without effect (no BTF, no branch records).
//!    IA32_MISC_ENABLE says that BTS is unavailable, in keeping with the missing DS.
//! 6. WRMSR checks canonical addresses for 57 bits, as a CPU with LA57 does.
//! 7. SYSENTER in 64-bit mode is #UD on TCG's AMD models although CPUID shows SEP (a
//!    model with `vendor=GenuineIntel` has it), and RDTSC ticks at the host's
//!    frequency whatever TSC_FREQUENCY says: both are the CPU's, not policy.

use super::NativeCpuid;

/// Highest extended leaf of the platform.
pub const MAX_EXTENDED_LEAF: u32 = 0x8000_0008;
/// Highest basic leaf that the module knows. [ABI-G 9]
pub const MAX_BASIC_LEAF: u32 = 0x23;
/// IA32_MISC_ENABLE: fast strings, BTS unavailable, MONITOR.
pub const MISC_ENABLE: u64 = 1 << 0 | 1 << 11 | 1 << 18;
/// MSR_MISC_PACKAGE_CTLS: energy filtering is on, as a TDX host must have it.
pub const MISC_PACKAGE_CTLS: u64 = 1;
/// IA32_DEBUG_INTERFACE: silicon debug is locked off, as a TDX host must have it.
pub const DEBUG_INTERFACE: u64 = 1 << 30;
/// IA32_ARCH_CAPABILITIES: the bits that a TDX host must have. [ABI-G 8]
pub const ARCH_CAPABILITIES: u64 = 0xf16b;
/// IA32_SPEC_CTRL bits that exist: all up to BHI_DIS_S but 9 and DDPD_U (8).
pub const SPEC_CTRL_MASK: u64 = 0x4ff;

/// Bits that this module supplies, whatever the CPU says: (leaf, sub-leaf, bits).
const SUPPLIED: [(u32, u32, [u32; 4]); 3] = [
    (0x1, 0, [0, 0, 1 << 15 | 1 << 21, 0]),
    (0x7, 0, [0, 0, 0, 1 << 10 | 1 << 18 | 0xfc00_0000]),
    (0x7, 2, [0, 0, 0, 1 << 0 | 1 << 1 | 1 << 2 | 1 << 4]),
];

/// Bits that the platform cannot keep, whatever the CPU says.
const WITHHELD: [(u32, u32, [u32; 4]); 2] =
    [(0x1, 0, [0, 0, 1 << 17, 0]), (0x7, 0, [0, 1 << 10, 0, 0])];

/// CPUID of the platform: the CPU's, with this module's additions. Leaves above the
/// CPU's highest are 0. Leaf 1 has no sub-leaf: ask for sub-leaf 0.
pub fn cpuid(leaf: u32, subleaf: u32, native: &NativeCpuid<'_>) -> [u32; 4] {
    let [max, ..] = native(leaf & 0x8000_0000, 0);
    let mut values = if leaf <= max { native(leaf, subleaf) } else { [0; 4] };
    for (value, register) in values.iter_mut().zip(0..) {
        *value |= bits(&SUPPLIED, leaf, subleaf, register);
        *value &= !bits(&WITHHELD, leaf, subleaf, register);
    }
    values
}

/// The bits that `list` has for a register (0 EAX to 3 EDX) of a leaf.
fn bits(list: &[(u32, u32, [u32; 4])], leaf: u32, subleaf: u32, register: usize) -> u32 {
    let entry = list.iter().find(|entry| entry.0 == leaf && entry.1 == subleaf);
    entry.and_then(|entry| entry.2.get(register)).copied().unwrap_or(0)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// CPUID as QEMU 7.2 TCG `-cpu max,+svm,+npt,phys-bits=52` has it, near enough.
    pub(in crate::virt) fn tcg(leaf: u32, subleaf: u32) -> [u32; 4] {
        match (leaf, subleaf) {
            (0, _) => [0xd, 0x6874_7541, 0x444d_4163, 0x6974_6e65],
            (1, _) => [0x0000_0663, 0x0000_0800, 0xfed8_320b, 0x0f8b_fbff & !(1 << 1)],
            (5, _) => [0, 0, 3, 0],
            (7, 0) => [0, 0x0182_03ab, 0x0001_000c, 0],
            (0xd, 0) => [7, 0x240, 0x340, 0],
            (0xd, 1) => [5, 0, 0, 0],
            (0xd, 2) => [0x100, 0x240, 0, 0],
            (0x8000_0000, _) => [0x8000_000a, 0x6874_7541, 0x444d_4163, 0x6974_6e65],
            (0x8000_0001, _) => [0x663, 0, 0x77, 0x2fd3_fbff],
            (0x8000_0008, _) => [0x3934, 0, 0, 0],
            (0x8000_000a, _) => [1, 0x10, 0, 1],
            _ => [0; 4],
        }
    }

    /// A CPU that claims everything.
    pub(in crate::virt) fn boastful(_leaf: u32, _subleaf: u32) -> [u32; 4] {
        [u32::MAX; 4]
    }

    #[test]
    fn a_leaf_above_the_highest_of_the_cpu_is_zero_but_for_what_the_module_supplies() {
        let stub = |leaf: u32, _: u32| if leaf == 0 { [1, 0, 0, 0] } else { [u32::MAX; 4] };
        assert_eq!(cpuid(0x14, 0, &stub), [0; 4]);
        assert_eq!(cpuid(0x7, 2, &stub), [0, 0, 0, 0x17]);
        assert_eq!(cpuid(0x8000_0008, 0, &boastful), [u32::MAX; 4]);
    }

    #[test]
    fn pcid_is_withheld_and_x2apic_supplied() {
        assert_eq!(cpuid(1, 0, &boastful)[2] >> 17 & 1, 0);
        assert_eq!(cpuid(7, 0, &boastful)[1] >> 10 & 1, 0);
        assert_eq!(cpuid(1, 0, &tcg)[2] >> 21 & 1, 1);
        assert_eq!(cpuid(7, 0, &tcg)[3], 0xfc04_0400);
    }
}
