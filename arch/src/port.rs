//! Port I/O.
#![expect(unsafe_code, reason = "IN and OUT")]

use core::arch::asm;

macro_rules! port_access {
    ($read:ident, $write:ident, $type:ty, $register:tt, $bits:literal) => {
        #[doc = concat!("Reads ", $bits, " bits from `port`.")]
        ///
        /// # Safety
        /// The device at `port` must not change memory that Rust knows of.
        #[must_use]
        pub unsafe fn $read(port: u16) -> $type {
            let value;
            // SAFETY: the instruction writes the accumulator alone; what the device does
            // is the caller's promise.
            unsafe {
                asm!(concat!("in ", $register, ", dx"), in("dx") port, out($register) value,
                     options(nostack, preserves_flags));
            }
            value
        }

        #[doc = concat!("Writes ", $bits, " bits to `port`.")]
        ///
        /// # Safety
        /// The device at `port` must not change memory that Rust knows of.
        pub unsafe fn $write(port: u16, value: $type) {
            // SAFETY: the instruction writes no register; what the device does is the
            // caller's promise.
            unsafe {
                asm!(concat!("out dx, ", $register), in("dx") port, in($register) value,
                     options(nostack, preserves_flags));
            }
        }
    };
}

port_access!(inb, outb, u8, "al", "8");
port_access!(inw, outw, u16, "ax", "16");
port_access!(inl, outl, u32, "eax", "32");
