//! COM1, byte by byte through the VMM: no exception needed, no driver, no state.

use core::fmt::{self, Write};

use abi::IoWidth;
use tdcall::ghci;

const COM1: u16 = 0x3F8;

/// The serial port. QEMU's takes a byte whenever it is given one.
#[derive(Debug)]
pub(crate) struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            ghci::io_write(COM1, IoWidth::Byte, byte.into()).map_err(|_| fmt::Error)?;
        }
        Ok(())
    }
}

/// Writes a line; a VMM that does not take it misses it.
pub(crate) fn say(text: fmt::Arguments<'_>) {
    let _lost = writeln!(Console, "boot: {text}");
}
