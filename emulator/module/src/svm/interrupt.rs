//! The module's own trap handler.
//!
//! An exception is the module's bug, unless the instruction is in the exception table: it is
//! logged and ends the run. An interrupt or
//! NMI only arrives while [`take`] lets in what ended a TD's run; its vector is kept
//! and nothing is acknowledged: the VMM does that when it dispatches the vector from
//! the TD exit. [ABI-H 5.8]

use core::sync::atomic::{AtomicU32, Ordering};

use arch::trap::TrapFrame;

use super::cpu;
use super::log;

const NMI: u64 = 2;
const FIRST_INTERRUPT: u64 = 32;
const NONE: u32 = u32::MAX;

static ARRIVED: AtomicU32 = AtomicU32::new(NONE);

/// The handler for [`arch::trap::init`].
pub(super) fn trap(frame: &mut TrapFrame) {
    if frame.vector == NMI || frame.vector >= FIRST_INTERRUPT {
        ARRIVED.store(frame.vector as u32, Ordering::Relaxed);
        return;
    }
    if arch::extable::fixup(arch::extable!(), frame) {
        return;
    }
    log::die(format_args!(
        "exception {} (error {:#x}) at rip {:#x}, rsp {:#x}, cr2 {:#x}",
        frame.vector,
        frame.error,
        frame.rip,
        frame.rsp,
        arch::cpu::cr2()
    ));
}

/// Takes the pending interrupt and gives its vector; none if it was withdrawn.
#[must_use]
pub(super) fn take() -> Option<u8> {
    ARRIVED.store(NONE, Ordering::Relaxed);
    cpu::take_interrupt();
    u8::try_from(ARRIVED.load(Ordering::Relaxed)).ok()
}

/// Takes the pending NMI; false if there was none.
#[must_use]
pub(super) fn take_nmi() -> bool {
    ARRIVED.store(NONE, Ordering::Relaxed);
    cpu::take_nmi();
    ARRIVED.load(Ordering::Relaxed) == NMI as u32
}
