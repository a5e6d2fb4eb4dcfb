//! Time: the frequency that the module tells, twice, and the counter beside ACPI's timer.
#![expect(unsafe_code, reason = "reads the ACPI timer")]

use abi::field::td;
use abi::leaf::tdg;
use arch::port;
use tdcall::guest;

use super::step::Steps;
use crate::{counts, time};

/// The unit of TSC_FREQUENCY.
const UNIT_HZ: u64 = 25_000_000;
/// What a TD's frequency may be, in units. [ABI-H 9]
const UNITS: core::ops::RangeInclusive<u64> = 4..=400;

/// The ACPI timer, where [`mod@crate::exit`]'s ports are. [TDVF 3.5]
const ACPI_TIMER: u16 = 0x608;
const ACPI_TIMER_HZ: u64 = 3_579_545;
/// It counts 24 bits.
const ACPI_TIMER_MASK: u32 = (1 << 24) - 1;
/// How long the two are compared, in its ticks: 10 ms.
const TICKS: u64 = ACPI_TIMER_HZ / 100;
/// The timer counts as stopped when it is so many times slower than the TSC.
const STOPPED: u64 = 20;
/// The most that the two clocks may differ, in percent.
const TOLERANCE: u64 = 5;

pub(super) fn frequency(steps: &mut Steps) {
    counts::tdcall(tdg::VM_RD);
    let by_leaf = guest::vm_rd(td::TSC_FREQUENCY);
    steps.holds(
        "TSC_FREQUENCY is one that a TD can have",
        by_leaf.is_ok_and(|f| UNITS.contains(&f)),
    );
    let hz = by_leaf.unwrap_or(0) * UNIT_HZ;
    steps.equal("Hz by CPUID leaf 0x15", time::tsc_hz().unwrap_or(0), hz);
}

/// The host may stop a TD at any time, for as long as it likes; so the shorter of three
/// measurements counts.
pub(super) fn clocks(steps: &mut Steps) {
    if timer() == ACPI_TIMER_MASK && timer() == ACPI_TIMER_MASK {
        return steps.skip("there is no ACPI timer at its port");
    }
    let Some(hz) = time::tsc_hz() else { return steps.skip("the TSC has no known frequency") };
    let expected = hz / 100;
    let measured = (0..3)
        .filter_map(|_| measure(expected * STOPPED))
        .min_by_key(|ticks| ticks.abs_diff(expected));
    let measured = measured.unwrap_or(0);
    let limit = expected * TOLERANCE / 100;
    steps.holds("TSC and ACPI timer agree within 5 percent", measured.abs_diff(expected) <= limit);
}

/// Ticks of the TSC in [`TICKS`] of the timer; none if there are more than `limit`.
fn measure(limit: u64) -> Option<u64> {
    let (start, tsc) = (timer(), time::tsc());
    while time::tsc() - tsc <= limit {
        let (now, then) = (timer(), time::tsc());
        let passed = u64::from(now.wrapping_sub(start) & ACPI_TIMER_MASK);
        if passed >= TICKS {
            return Some((then - tsc) * TICKS / passed);
        }
    }
    None
}

fn timer() -> u32 {
    // SAFETY: reading the timer has no effect.
    unsafe { port::inl(ACPI_TIMER) & ACPI_TIMER_MASK }
}
