//! The log, on the debug console, and the end of the run.
#![expect(unsafe_code, reason = "OUT to the debug-exit port")]

use core::fmt::Write as _;

use abi::verdict;
use arch::debugcon::Debugcon;
use arch::{cpu, port};
use log::{Level, LevelFilter, Log, Metadata, Record};

/// The VMM's debug console.
const PORT: u16 = 0xE9;

struct Console;

impl Log for Console {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let error = if record.level() == Level::Error { "error: " } else { "" };
        // The debug console takes everything.
        let _: core::fmt::Result = writeln!(Debugcon(PORT), "vmm: {error}{}", record.args());
    }

    fn flush(&self) {}
}

/// Logging works from here on.
pub(super) fn init() {
    // Fails only when called twice, which changes nothing.
    let _: Result<(), log::SetLoggerError> = log::set_logger(&Console);
    log::set_max_level(LevelFilter::Info);
}

/// Ends QEMU with this verdict.
pub(crate) fn end(value: u32) -> ! {
    // SAFETY: the debug-exit device ends QEMU; it changes no memory.
    unsafe { port::outl(verdict::PORT, value) };
    cpu::halt()
}
