//! Devices without the exception: ports and device registers by VP.VMCALL at once.
//!
//! An IN, OUT or MOV to a device raises #VE, and the handler makes this call for it. Whoever
//! knows that it runs in a TD can make it itself: the results are the same, and it costs
//! a tenth. What the host gives is cut to the width; what it refuses is an error.

mod mmio;
mod port;

pub use self::mmio::Mmio;
pub use self::port::Port;

use abi::IoWidth;
use tdcall::ghci::MmioWidth;

mod sealed {
    pub trait Sealed {}
}

/// What a device register holds: `u8`, `u16`, `u32` or `u64`.
pub trait Register: Copy + Into<u64> + sealed::Sealed {
    /// Its width.
    const WIDTH: MmioWidth;
    /// The low bits of `value`.
    fn cut(value: u64) -> Self;
}

/// What a port moves: `u8`, `u16` or `u32`.
pub trait PortRegister: Register + Into<u32> {
    /// Its width.
    const PORT_WIDTH: IoWidth;
}

macro_rules! port_registers {
    ($($type:ty, $width:ident;)*) => {
        $(
            impl sealed::Sealed for $type {}

            impl Register for $type {
                const WIDTH: MmioWidth = MmioWidth::$width;

                fn cut(value: u64) -> Self {
                    value as Self
                }
            }

            impl PortRegister for $type {
                const PORT_WIDTH: IoWidth = IoWidth::$width;
            }
        )*
    };
}

port_registers! {
    u8, Byte;
    u16, Word;
    u32, Dword;
}

impl sealed::Sealed for u64 {}

impl Register for u64 {
    const WIDTH: MmioWidth = MmioWidth::Qword;

    fn cut(value: u64) -> Self {
        value
    }
}
