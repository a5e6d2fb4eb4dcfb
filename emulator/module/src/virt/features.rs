//! What TDH.MNG.INIT fixed about a TD, as far as its virtual CPU depends on it.

use abi::attributes::{Attributes, ConfigFlags, Xfam};

use super::cpuid_table::CPUID_CONFIGS;

/// XFAM bits that XCR0 holds. [ABI-G 12]
pub const XFAM_USER: u64 = 0x0006_02ff;
/// XFAM bits that IA32_XSS holds. [ABI-G 12]
pub const XFAM_SUPERVISOR: u64 = 0x0001_fd00;

/// The configuration of a TD that its virtual CPU depends on.
///
/// TDH.MNG.INIT has checked every field against the platform, so that `xfam` names
/// only state that the CPU has, and `cpuid_config` holds only configurable bits.
/// A value that was not checked gives a strange CPU, never a panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdFeatures {
    /// TD_PARAMS.ATTRIBUTES.
    pub attributes: Attributes,
    /// TD_PARAMS.XFAM.
    pub xfam: Xfam,
    /// TD_PARAMS.CONFIG_FLAGS.
    pub config_flags: ConfigFlags,
    /// TD_PARAMS.TSC_FREQUENCY, in units of 25 MHz.
    pub tsc_frequency_25mhz: u16,
    /// TD_PARAMS.CPUID_CONFIG: EAX, EBX, ECX, EDX in the order of
    /// [`super::cpuid_table::CONFIGURABLE`].
    pub cpuid_config: [[u32; 4]; CPUID_CONFIGS],
    /// TD_PARAMS.IA32_ARCH_CAPABILITIES_CONFIG, or 0 if MSR_CONFIG_CTLS bit 0 is 0.
    pub arch_capabilities_config: u64,
}

impl TdFeatures {
    /// True if the SHARED bit is 51 and GPAs have 52 bits. [ABI-G 10]
    pub const fn gpaw_52(&self) -> bool {
        self.config_flags.contains(ConfigFlags::GPAW_52)
    }

    /// True if the TD may use the performance counters.
    pub const fn perfmon(&self) -> bool {
        self.attributes.contains(Attributes::PERFMON)
    }

    /// True if the TD may use supervisor protection keys.
    pub const fn pks(&self) -> bool {
        self.attributes.contains(Attributes::PKS)
    }

    /// True if XFAM holds every bit of `state`.
    pub const fn has(&self, state: Xfam) -> bool {
        self.xfam.contains(state)
    }

    /// What XCR0 may hold.
    pub const fn xcr0_mask(&self) -> u64 {
        self.xfam.bits() & XFAM_USER
    }

    /// What IA32_XSS may hold.
    pub const fn xss_mask(&self) -> u64 {
        self.xfam.bits() & XFAM_SUPERVISOR
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// KVM's TD: SEPT_VE_DISABLE, GPAW 48, AVX if `xfam` says so, every configurable
    /// feature allowed.
    pub(in crate::virt) fn permissive(xfam: u64) -> TdFeatures {
        use crate::virt::cpuid_table::CONFIGURABLE;
        TdFeatures {
            attributes: Attributes::SEPT_VE_DISABLE,
            xfam: Xfam::from_bits_retain(xfam),
            config_flags: ConfigFlags::NO_RBP_MOD,
            tsc_frequency_25mhz: 100,
            cpuid_config: CONFIGURABLE.map(|row| row.allow),
            arch_capabilities_config: 0,
        }
    }

    /// A TD with nothing configured: XFAM 3 and all CPUID_CONFIG values 0.
    pub(in crate::virt) fn minimal() -> TdFeatures {
        TdFeatures { cpuid_config: [[0; 4]; CPUID_CONFIGS], ..permissive(3) }
    }

    #[test]
    fn user_and_supervisor_state_split_xfam() {
        let td = permissive(0x0006_dbe7);
        assert_eq!(XFAM_USER & XFAM_SUPERVISOR, 0);
        assert_eq!(td.xcr0_mask(), 0x0006_02e7);
        assert_eq!(td.xss_mask(), 0xd900);
        assert!(td.has(Xfam::AVX512) && td.has(Xfam::CET) && td.has(Xfam::AMX));
        assert!(!permissive(1 << 5 | 3).has(Xfam::AVX512));
    }

    #[test]
    fn gpaw_comes_from_config_flags() {
        assert!(!minimal().gpaw_52());
        assert!(TdFeatures { config_flags: ConfigFlags::GPAW_52, ..minimal() }.gpaw_52());
        assert!(!minimal().perfmon() && !minimal().pks());
    }
}
