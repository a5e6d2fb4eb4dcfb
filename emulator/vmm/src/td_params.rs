//! TD_PARAMS as KVM fills them. [ABI-H 4.1]

use abi::GpaWidth;
use abi::attributes::ConfigFlags;
use abi::td_params::{CPUID_CONFIG_LEAVES, EPTP_4_LEVELS, EPTP_5_LEVELS, TdParams};
use zerocopy::FromZeros;

use crate::config::Config;
use crate::failure::Failure;
use crate::features::Features;
use crate::seam::Cpu;
use crate::system::Capabilities;

/// Units of TSC_FREQUENCY that a TD can have: 100 MHz to 10 GHz. [ABI-H 4.1]
const TSC_UNITS: core::ops::RangeInclusive<u64> = 4..=400;
/// One unit in ticks a second.
const TSC_UNIT_HZ: u64 = 25_000_000;
/// How long the processor's own frequency is measured, each time.
const MEASURED_NS: u64 = 1_000_000;
/// Looks at the clock until it counts as stopped.
const LOOKS: u32 = 100_000;
/// CPUID(1).EBX bits 23:16: logical processors in the package.
const LOGICAL_PROCESSORS: u32 = 0xFF << 16;
/// CPUID(1).ECX: MONITOR and MWAIT.
const MONITOR: u32 = 1 << 3;
/// CPUID(7).EDX.
const PCONFIG: u32 = 1 << 18;

/// The parameters of one TD.
///
/// # Errors
/// The configuration asks for ATTRIBUTES that the module does not offer.
pub fn td_params(
    config: &Config,
    capabilities: &Capabilities,
    cpu: &mut dyn Cpu,
) -> Result<TdParams, Failure> {
    let (fixed0, fixed1) = (capabilities.attributes_fixed0, capabilities.attributes_fixed1);
    let asked = config.attributes;
    if asked & !fixed0 != 0 || !asked & fixed1 != 0 {
        return Err(Failure::Attributes { asked, fixed0, fixed1 });
    }
    let (gpaw, eptp_controls) = match config.gpa_width {
        GpaWidth::Bits48 => (ConfigFlags::empty(), EPTP_4_LEVELS),
        GpaWidth::Bits52 => (ConfigFlags::GPAW_52, EPTP_5_LEVELS),
    };
    Ok(TdParams {
        attributes: asked,
        xfam: capabilities.xfam(cpu),
        max_vcpus: 1,
        eptp_controls,
        config_flags: (config.flags | gpaw).bits(),
        tsc_frequency_25mhz: tsc_frequency_25mhz(cpu),
        cpuid_config: cpuid(config.features, capabilities, cpu),
        ..TdParams::new_zeroed()
    })
}

/// The processor's own frequency, as KVM has it for a TD: the middle of three measurements, for
/// this processor may be taken away in the middle of one.
fn tsc_frequency_25mhz(cpu: &mut dyn Cpu) -> u16 {
    let mut measured = [(); 3].map(|()| measure(cpu));
    measured.sort_unstable();
    let units = (measured[1] + TSC_UNIT_HZ / 2) / TSC_UNIT_HZ;
    units.clamp(*TSC_UNITS.start(), *TSC_UNITS.end()) as u16
}

/// Ticks of the time stamp counter in a second, over a short time.
fn measure(cpu: &mut dyn Cpu) -> u64 {
    let (start_ns, start) = (cpu.now_ns(), cpu.tsc());
    for _ in 0..LOOKS {
        let (passed_ns, ticks) = (cpu.now_ns() - start_ns, cpu.tsc().wrapping_sub(start));
        if passed_ns >= MEASURED_NS {
            return (u128::from(ticks) * 1_000_000_000 / u128::from(passed_ns)) as u64;
        }
    }
    0
}

/// The processor's own CPUID where the VMM may choose, with the topology of the TD, and the
/// instructions that the configuration lets through. The module says only which bits the VMM
/// sets itself; what it may let through is in [ABI-H 4.3], and the TD gets it if it is there.
fn cpuid(
    features: Features,
    capabilities: &Capabilities,
    cpu: &mut dyn Cpu,
) -> [[u32; 4]; CPUID_CONFIG_LEAVES.len()] {
    let mut config = capabilities.cpuid;
    for (values, (leaf, subleaf)) in config.iter_mut().zip(CPUID_CONFIG_LEAVES) {
        let mut native = cpu.cpuid(leaf, subleaf.unwrap_or(0));
        if leaf == 1 {
            native[1] = native[1] & !LOGICAL_PROCESSORS | 1 << 16;
        }
        for (value, native) in values.iter_mut().zip(native) {
            *value &= native;
        }
        let [_, _, ecx, edx] = values;
        match (leaf, subleaf) {
            (1, None) => choose(ecx, MONITOR, features.contains(Features::MONITOR)),
            (7, Some(0)) => choose(edx, PCONFIG, features.contains(Features::PCONFIG)),
            _ => {}
        }
    }
    config
}

fn choose(value: &mut u32, bit: u32, is_shown: bool) {
    *value = *value & !bit | if is_shown { bit } else { 0 };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::FakeCpu;

    const CAPABILITIES: Capabilities = Capabilities {
        attributes_fixed0: 1 << 28,
        attributes_fixed1: 0,
        xfam_fixed0: 0xE7,
        xfam_fixed1: 3,
        cpuid: [[u32::MAX; 4]; 12],
        tdcs_pages: 6,
        tdvps_pages: 6,
        max_vcpus: 1,
    };

    fn params(text: &str) -> Result<TdParams, Failure> {
        let config = Config::parse(text.as_bytes()).unwrap();
        let mut cpu = FakeCpu { step_ns: 1000, ..FakeCpu::default() };
        td_params(&config, &CAPABILITIES, &mut cpu)
    }

    #[test]
    fn a_clock_that_stands_gives_the_lowest_frequency_there_is() {
        assert_eq!(tsc_frequency_25mhz(&mut FakeCpu::default()), 4);
    }

    #[test]
    fn the_defaults_are_those_of_kvm() {
        let params = params("memory=4096").unwrap();
        assert_eq!((params.attributes, params.config_flags), (1 << 28, 1 << 2));
        // 4 levels, write-back; 1 GHz; x87 and SSE with what the processor has of the rest.
        assert_eq!((params.eptp_controls, params.tsc_frequency_25mhz), (0x1E, 40));
        assert_eq!((params.xfam, params.max_vcpus, params.num_l2_vms), (0xD & 0xE7 | 3, 1, 0));
        assert_eq!(params.cpuid_config[0][1], 1 << 16);
    }

    #[test]
    fn instructions_beyond_kvms_are_shown_if_asked_for() {
        let shown = |text: &str| {
            let cpuid = params(text).unwrap().cpuid_config;
            (cpuid[0][2] & MONITOR != 0, cpuid[5][3] & PCONFIG != 0)
        };
        assert_eq!(shown("memory=4096"), (false, false));
        assert_eq!(shown("memory=4096,features=monitor"), (true, false));
        assert_eq!(shown("memory=4096,features=pconfig"), (false, true));
    }

    #[test]
    fn a_wide_address_space_has_five_levels() {
        let params = params("memory=4096,gpaw=52").unwrap();
        assert_eq!((params.eptp_controls, params.config_flags), (0x26, 1 << 2 | 1));
    }

    #[test]
    fn attributes_that_are_not_offered_are_refused() {
        let error = params("memory=4096,attributes=0x20000000").unwrap_err();
        assert_eq!(error.verdict(), abi::verdict::REFUSED);
    }
}
