//! The end by panic: file, line and message on the console, the same in the registers of
//! ReportFatalError, then halt.
//!
//! Works whoever holds the console, from any handler, and when it fails itself: each
//! further panic does less.

use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};

use abi::ghci::FATAL_TEXT_BYTES;
use x86_64::instructions::interrupts;

use crate::console;
use crate::memory::{self, OutOfMemory};
use crate::td::{Td, Tdcall};

/// Panics begun.
static DEPTH: AtomicU32 = AtomicU32::new(0);

/// Error code of ReportFatalError; QEMU wants the low 16 bits 0. [TDVF 4.7]
const FATAL_CODE: u64 = 0;

/// What a panic handler does: [`crate::main!`] installs one that calls this.
pub fn report(info: &PanicInfo<'_>) -> ! {
    interrupts::disable();
    let depth = DEPTH.fetch_add(1, Ordering::Relaxed);
    let (file, line) = info.location().map_or(("?", 0), |at| (at.file(), at.line()));
    if let Some(error) = out_of_memory(file, info.message()) {
        last_words(depth, format_args!("panic: {error}"));
    } else {
        last_words(depth, format_args!("panic at {file}:{line}: {}", info.message()));
    }
    arch::cpu::halt()
}

fn last_words(depth: u32, words: fmt::Arguments<'_>) {
    if depth == 0 {
        console::print_in_panic(format_args!("\n{words}\n"));
    }
    if depth <= 1 {
        let mut text = FatalText::new();
        // Cut off at 64 bytes; that is not a failure.
        let _is_whole = text.write_fmt(words).is_ok();
        let _the_host_went_on = Td.report_fatal_error(FATAL_CODE, &text.bytes);
    }
}

/// What `alloc` panics for when the heap gave null. Its file and its words are no contract:
/// if they change, they are printed as they are.
fn out_of_memory(file: &str, message: impl fmt::Display) -> Option<OutOfMemory> {
    if !file.ends_with("library/alloc/src/alloc.rs") {
        return None;
    }
    let mut text = FatalText::new();
    write!(text, "{message}").ok()?;
    let text = str::from_utf8(&text.bytes[..text.length]).ok()?;
    let bytes = text.strip_prefix("memory allocation of ")?.strip_suffix(" bytes failed")?;
    Some(OutOfMemory { asked: bytes.parse().ok()?, numbers: memory::try_numbers() })
}

/// The text that fits into ReportFatalError's registers: printable ASCII, NUL padded.
#[derive(Debug)]
struct FatalText {
    bytes: [u8; FATAL_TEXT_BYTES],
    length: usize,
}

impl FatalText {
    const fn new() -> Self {
        Self { bytes: [0; FATAL_TEXT_BYTES], length: 0 }
    }
}

impl Write for FatalText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let place = self.bytes.get_mut(self.length).ok_or(fmt::Error)?;
            let is_printable = character.is_ascii_graphic() || character == ' ';
            *place = if is_printable { character as u8 } else { b'?' };
            self.length += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_padded_with_nul() {
        let mut text = FatalText::new();
        write!(text, "panic at kernel/src/main.rs:{}: gone", 7).unwrap();
        let expected = b"panic at kernel/src/main.rs:7: gone";
        assert_eq!(&text.bytes[..expected.len()], expected);
        assert!(text.bytes[expected.len()..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_long_text_is_cut_and_what_is_not_ascii_is_marked() {
        let mut text = FatalText::new();
        assert!(write!(text, "a\nb\u{e9}{:0>80}", 5).is_err());
        assert_eq!(&text.bytes[..5], b"a?b?0");
        assert_eq!(text.bytes[FATAL_TEXT_BYTES - 1], b'0');
    }

    #[test]
    fn what_alloc_says_of_a_failed_allocation_is_understood() {
        const FILE: &str = "/rustc/0123/library/alloc/src/alloc.rs";
        let asked = |file, text| out_of_memory(file, text).map(|error| error.asked);
        assert_eq!(asked(FILE, "memory allocation of 4096 bytes failed"), Some(4096));
        assert_eq!(
            asked(FILE, "memory allocation of 18446744073709551615 bytes failed"),
            Some(usize::MAX)
        );
        assert_eq!(asked(FILE, "capacity overflow"), None);
        assert_eq!(asked(FILE, "memory allocation of -1 bytes failed"), None);
        assert_eq!(asked("kernel/src/main.rs", "memory allocation of 4096 bytes failed"), None);
    }
}
