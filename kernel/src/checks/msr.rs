//! RDMSR and WRMSR of registers that the host emulates.
#![expect(unsafe_code, reason = "MSRs of the local APIC")]

use abi::ExitReason;
use abi::ghci::function;
use arch::msr;
use tdcall::ghci::mask;

use super::step::{Expected, Steps, watch};
use crate::Kernel;
use crate::ve::msr::{APIC_BASE, X2APIC_ID, X2APIC_LVT_TIMER};

/// The APIC at its usual address, enabled, in x2APIC mode, of the boot CPU. [SDM3 12.12.1]
const APIC_BASE_VALUE: u64 = 0xFEE0_0000 | 1 << 11 | 1 << 10 | 1 << 8;
/// A masked timer interrupt with some vector: has no effect but to be read back.
const MASKED_TIMER: u64 = 1 << 16 | 0xE1;
/// The register's value after reset.
const TIMER_AT_RESET: u64 = 1 << 16;

const READ: Expected = Expected {
    cause: "RDMSR",
    reason: ExitReason::RDMSR,
    qualification: (0, u64::MAX),
    gpa: None,
    call: Some((function::RDMSR, mask::RDMSR)),
};
const WRITE: Expected = Expected {
    cause: "WRMSR",
    reason: ExitReason::WRMSR,
    qualification: (0, u64::MAX),
    gpa: None,
    call: Some((function::WRMSR, mask::WRMSR)),
};

pub(super) fn read(steps: &mut Steps, kernel: &mut Kernel) {
    rdmsr(steps, APIC_BASE, APIC_BASE_VALUE);
    rdmsr(steps, X2APIC_ID, u64::from(kernel.vp.vcpu_index));
}

pub(super) fn write(steps: &mut Steps) {
    wrmsr(steps, MASKED_TIMER);
    rdmsr(steps, X2APIC_LVT_TIMER, MASKED_TIMER);
    wrmsr(steps, TIMER_AT_RESET);
}

fn rdmsr(steps: &mut Steps, index: u32, wanted: u64) {
    // SAFETY: every index here is on the router's list, so the read raises no #GP.
    let (value, seen) = watch(|| unsafe { msr::read(index) });
    steps.routed(&READ, seen, value, wanted);
}

fn wrmsr(steps: &mut Steps, value: u64) {
    // SAFETY: the register is on the router's list; a masked timer does nothing.
    let ((), seen) = watch(|| unsafe { msr::write(X2APIC_LVT_TIMER, value) });
    let sent = seen.last.value;
    steps.routed(&WRITE, seen, sent, value);
}
