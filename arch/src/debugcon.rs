//! QEMU's debug console: a port that takes bytes.

use core::fmt;

use crate::port;

/// A writer to an isa-debugcon port. Every byte is one OUT; there is no state.
#[derive(Clone, Copy, Debug)]
pub struct Debugcon(pub u16);

impl fmt::Write for Debugcon {
    #[expect(unsafe_code, reason = "OUT")]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: a debug console copies the byte out; it changes no memory.
            unsafe { port::outb(self.0, byte) };
        }
        Ok(())
    }
}
