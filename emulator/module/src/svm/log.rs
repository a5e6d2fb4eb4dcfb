//! The module's log: lines on QEMU's debug console at port 0x403, and the verdict.
//! Not 0x402: SeaBIOS writes there.
#![expect(unsafe_code, reason = "the debug-exit port")]

use core::fmt::{self, Write};

use arch::debugcon::Debugcon;

const PORT: u16 = 0x403;

/// Writes `module: ` and one line.
pub(super) fn line(text: fmt::Arguments<'_>) {
    // A debug console never fails.
    let _infallible = writeln!(Debugcon(PORT), "module: {text}");
}

/// Prints a TD's counters when it is dead or torn down.
pub(super) fn counts_at_end(counts: &abi::Counts) {
    line(format_args!("counts at end {counts}"));
}

/// Prints the injection that the last call used up, if it did.
pub(super) fn injection(module: &mut crate::Module) {
    if let Some(rule) = module.take_used_injection() {
        line(format_args!("injected {rule}"));
    }
}

/// Ends the run with a verdict of `abi::verdict`.
pub(super) fn end(verdict: u32) -> ! {
    // SAFETY: the debug-exit device ends QEMU; without the device nothing happens.
    unsafe { arch::port::outl(abi::verdict::PORT, verdict) };
    arch::cpu::halt();
}

/// Says what went wrong in the module itself and ends the run.
pub fn die(text: fmt::Arguments<'_>) -> ! {
    line(format_args!("error: {text}"));
    end(abi::verdict::EMULATOR_FAILED);
}
