//! Single-stepping over an instruction that was executed in software.
//!
//! The processor raises #DB behind each instruction while RFLAGS.TF is set, but the
//! instruction was not the processor's, and IRET restores TF too late for it [ABI-G 16.8].
//! So the handler of #DB is called here, with the frame as #DB would have it.

use arch::trap::TrapFrame;

use crate::debug;

/// RFLAGS.TF.
pub(super) const TRAP_FLAG: u64 = 1 << 8;

/// Behind each routed exception. The exception is done with: #DB's handler may raise others.
#[inline]
pub(super) fn after(frame: &mut TrapFrame) {
    if frame.rflags & TRAP_FLAG != 0 {
        core::hint::cold_path();
        debug::single_step(frame);
    }
}
