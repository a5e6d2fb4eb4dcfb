//! Debug exceptions, #DB: for whoever single-steps or sets breakpoints.
#![expect(unsafe_code, reason = "DR6 and IA32_DEBUGCTL")]

use core::arch::asm;

use arch::msr;
use arch::trap::TrapFrame;
use spin::Once;

/// #DB.
const VECTOR: u64 = 1;
/// DR6.BS: a single step.
const SINGLE_STEP: u64 = 1 << 14;
/// IA32_DEBUGCTL.
const DEBUGCTL: u32 = 0x1D9;
/// IA32_DEBUGCTL.BTF: TF traps on branches alone.
const BRANCHES_ALONE: u64 = 1 << 1;

/// A handler of #DB.
pub type Handler = fn(&mut TrapFrame);

static HANDLER: Once<Handler> = Once::new();

/// Takes a handler of #DB; later ones are not taken. Without one, #DB ends the kernel.
///
/// The handler runs as on a trap: interrupts off, on the interrupted stack, the whole state
/// in the frame. It may raise #VE.
pub fn set_handler(handler: Handler) {
    HANDLER.call_once(|| handler);
}

/// #DB. False: nobody handles it.
pub(crate) fn on_exception(frame: &mut TrapFrame) -> bool {
    let Some(handler) = HANDLER.get() else { return false };
    handler(frame);
    true
}

/// The #DB behind an instruction that was executed in software with RFLAGS.TF set.
pub(crate) fn single_step(frame: &mut TrapFrame) {
    // SAFETY: every processor with long mode has the register, and a TD may read it.
    if unsafe { msr::read(DEBUGCTL) } & BRANCHES_ALONE != 0 {
        return;
    }
    // SAFETY: DR6 says why #DB came; writing it has no other effect.
    unsafe {
        asm!("mov {dr6}, dr6", "or {dr6}, {step}", "mov dr6, {dr6}", dr6 = out(reg) _,
             step = const SINGLE_STEP, options(nomem, nostack));
    }
    (frame.vector, frame.error) = (VECTOR, 0);
    crate::traps::on_debug(frame);
}
