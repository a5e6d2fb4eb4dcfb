//! Time: the time stamp counter, whose frequency the module vouches for.
//!
//! The counter can not be changed by the host while the TD runs; RDTSC raises no #VE.
//! [ABI-G 9]

use core::arch::x86_64::{__cpuid, __cpuid_count};

use crate::{interrupts, memory};

/// CPUID leaf: TSC frequency as a ratio to the crystal's.
const TSC_LEAF: u32 = 0x15;
/// Ticks of the APIC bus in a second: KVM gives a TD the crystal of leaf 0x15. [TDVF 3.3]
const APIC_HZ: u64 = 25_000_000;

/// Ticks of the time stamp counter in a second, by CPUID leaf 0x15, which the module answers.
/// `None` if it does not.
#[must_use]
pub fn tsc_hz() -> Option<u64> {
    if __cpuid(0).eax < TSC_LEAF {
        return None;
    }
    let leaf = __cpuid_count(TSC_LEAF, 0);
    ratio(leaf.eax, leaf.ebx, leaf.ecx)
}

/// `crystal` Hz times `numerator` / `denominator`.
fn ratio(denominator: u32, numerator: u32, crystal: u32) -> Option<u64> {
    let hz = (u64::from(crystal) * u64::from(numerator)).checked_div(denominator.into())?;
    (hz != 0).then_some(hz)
}

/// The time stamp counter.
#[must_use]
pub fn tsc() -> u64 {
    arch::cpu::rdtsc()
}

/// Nanoseconds that `ticks` ticks of a counter of `hz` take; at most `u64::MAX`.
#[must_use]
pub fn nanoseconds(ticks: u64, hz: u64) -> u64 {
    let ns = (u128::from(ticks) * 1_000_000_000).checked_div(hz.into());
    ns.and_then(|ns| u64::try_from(ns).ok()).unwrap_or(u64::MAX)
}

/// Rests until an interrupt comes, at most so many nanoseconds (and at most a minute). If there
/// is memory to be accepted in the background, accepts a piece of it instead.
///
/// Interrupts are off before and afterwards. The host may let it take longer.
pub fn rest(ns: u64) {
    if memory::accept_in_background() {
        return;
    }
    interrupts::halt_for(timer_ticks(ns));
}

/// Ticks of the local APIC's timer.
fn timer_ticks(ns: u64) -> u32 {
    let ns = ns.min(60_000_000_000);
    // At most 1.5e9.
    (ns * (APIC_HZ / 1_000_000) / 1000).max(1) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frequency_is_the_crystals_times_the_ratio() {
        assert_eq!(ratio(1, 100, 25_000_000), Some(2_500_000_000));
        assert_eq!(ratio(1, u32::MAX, u32::MAX), Some(u64::from(u32::MAX) * u64::from(u32::MAX)));
        assert_eq!(ratio(0, 100, 25_000_000), None);
        assert_eq!(ratio(1, 0, 25_000_000), None);
    }

    #[test]
    fn a_rest_has_an_end() {
        assert_eq!((timer_ticks(0), timer_ticks(40), timer_ticks(10_000_000)), (1, 1, 250_000));
        assert_eq!(timer_ticks(u64::MAX), 1_500_000_000);
    }

    #[test]
    fn ticks_become_nanoseconds() {
        assert_eq!(nanoseconds(2_500, 2_500_000_000), 1_000);
        assert_eq!(nanoseconds(u64::MAX, 1), u64::MAX);
        assert_eq!(nanoseconds(1, 0), u64::MAX);
    }
}
