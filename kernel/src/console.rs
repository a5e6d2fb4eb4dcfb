//! The console: a 16550 UART at COM1, reached by plain IN and OUT.
//!
//! In a TD each of those raises #VE, so every byte printed goes the whole way: exception,
//! VEINFO.GET, VP.VMCALL, host. That is on purpose; nothing here knows of it.
#![expect(unsafe_code, reason = "claims the ports of COM1")]

use core::fmt::{self, Write};

use spin::Mutex;
use uart_16550::backend::PioBackend;
use uart_16550::spec::registers::IER;
use uart_16550::{BaudRate, Config, Uart16550};

type Uart = Uart16550<PioBackend>;

/// First port of COM1.
const COM1: u16 = 0x3F8;

static UART: Mutex<Uart> = Mutex::new(com1());

/// Bytes that are collected before the UART is asked whether it has room: its FIFO's size.
const BATCH: usize = 16;

/// Prints on the console.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => {
        $crate::console::print(::core::format_args!($($argument)*))
    };
}

/// Prints a line on the console.
#[macro_export]
macro_rules! println {
    () => {
        $crate::print!("\n")
    };
    ($($argument:tt)*) => {
        $crate::print!("{}\n", ::core::format_args!($($argument)*))
    };
}

/// Sets the UART up. Without one, what is printed is lost.
pub(crate) fn init() {
    let config =
        Config { interrupts: IER::empty(), baud_rate: BaudRate::Baud115200, ..Config::DEFAULT };
    // A missing UART can be reported nowhere; the verdict does not depend on it.
    let _is_present = UART.lock().init(config).is_ok();
}

/// What [`print!`] calls.
#[doc(hidden)]
pub fn print(text: fmt::Arguments<'_>) {
    write(&mut UART.lock(), text);
}

/// A byte that was typed, if there is one.
#[must_use]
pub fn read_byte() -> Option<u8> {
    UART.lock().try_receive_byte().ok()
}

/// Prints whoever holds the lock: for panics, after which the holder does not go on.
pub(crate) fn print_in_panic(text: fmt::Arguments<'_>) {
    if let Some(mut uart) = UART.try_lock() {
        write(&mut uart, text);
    } else {
        write(&mut com1(), text);
    }
}

const fn com1() -> Uart {
    // SAFETY: nothing but the console uses COM1, and its registers can not reach memory.
    match unsafe { Uart::new_port(COM1) } {
        Ok(uart) => uart,
        Err(_) => panic!("COM1 and its registers are ports"),
    }
}

fn write(uart: &mut Uart, text: fmt::Arguments<'_>) {
    let mut batches =
        Batches { send: |bytes: &[u8]| uart.send_bytes_exact(bytes), bytes: [0; BATCH], length: 0 };
    // Fails only if a value's own formatting does: then the text ends there.
    let _is_whole = batches.write_fmt(text).is_ok();
    batches.flush();
}

/// Collects what formatting gives in small pieces.
struct Batches<F: FnMut(&[u8])> {
    send: F,
    bytes: [u8; BATCH],
    length: usize,
}

impl<F: FnMut(&[u8])> Batches<F> {
    fn flush(&mut self) {
        (self.send)(&self.bytes[..self.length]);
        self.length = 0;
    }
}

impl<F: FnMut(&[u8])> Write for Batches<F> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if self.length == BATCH {
                self.flush();
            }
            self.bytes[self.length] = byte;
            self.length += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn pieces_are_sent_in_fifo_sized_batches() {
        let mut sent: Vec<Vec<u8>> = Vec::new();
        let mut batches = Batches {
            send: |bytes: &[u8]| sent.push(bytes.to_vec()),
            bytes: [0; BATCH],
            length: 0,
        };
        write!(batches, "{:>20}|end", 7).unwrap();
        batches.flush();
        assert_eq!(sent.concat(), b"                   7|end");
        assert_eq!(sent.iter().map(Vec::len).collect::<Vec<_>>(), [16, 8]);
    }
}
