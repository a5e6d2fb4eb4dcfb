//! HLT with an interrupt pending: the host must return at once, and the interrupt must be
//! taken behind the HLT, once.

use abi::ExitReason;
use abi::ghci::function;
use tdcall::ghci::mask;

use super::step::{Expected, Steps, watch};
use crate::interrupts;

pub(super) fn interrupted(steps: &mut Steps) {
    let before = interrupts::self_ipis();
    let ((), seen) = watch(interrupts::halt_until_own_interrupt);
    let taken = interrupts::self_ipis() - before;
    let expected = Expected {
        cause: "HLT",
        reason: ExitReason::HLT,
        qualification: (0, u64::MAX),
        gpa: None,
        call: Some((function::HLT, mask::HLT)),
    };
    // The result is the number of interrupts; the host was told that they are not blocked.
    let unblocked = if seen.last.value == 0 { taken } else { u64::MAX };
    steps.routed(&expected, seen, unblocked, 1);
}
