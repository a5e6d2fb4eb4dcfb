//! CPUID: a hypervisor leaf, which the host answers, and one that is answered here.

use core::arch::x86_64::__cpuid_count;

use abi::ExitReason;
use abi::ghci::function;
use tdcall::ghci::mask;

use super::step::{Expected, Steps, watch};
use crate::td::{Td, Tdcall};

/// The hypervisor's first leaf: EAX is its last.
const HYPERVISOR: u32 = 0x4000_0000;
/// Power management: the module leaves it to the guest, which has none. [ABI-G 9]
const POWER: u32 = 6;

const ASKED: Expected = Expected {
    cause: "CPUID",
    reason: ExitReason::CPUID,
    qualification: (0, u64::MAX),
    gpa: None,
    call: Some((function::CPUID, mask::CPUID)),
};

pub(super) fn host(steps: &mut Steps) {
    // The same question, asked without the exception.
    let direct = Td.cpuid(HYPERVISOR, 0).map_or(0, |values| values[0]);
    let (values, seen) = watch(|| __cpuid_count(HYPERVISOR, 0));
    let in_range = direct.clamp(HYPERVISOR, 0x4FFF_FFFF);
    steps.routed(&ASKED, seen, u64::from(values.eax), u64::from(in_range));
}

pub(super) fn local(steps: &mut Steps) {
    let (values, seen) = watch(|| __cpuid_count(POWER, 0));
    let any = values.eax | values.ebx | values.ecx | values.edx;
    steps.routed(&Expected { call: None, ..ASKED }, seen, u64::from(any), 0);
}
