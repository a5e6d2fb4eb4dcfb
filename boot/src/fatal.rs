//! The end of a boot that failed: a line on COM1, and the same to the VMM. [TDVF 4.7]

use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::ghci::FATAL_TEXT_BYTES;
use arch::BootCell;
use arch::trap::{self, Tables, TrapFrame};
use tdcall::{ghci, guest};

use crate::console::Console;

static TABLES: BootCell<Tables> = BootCell::new(Tables::new());
/// Something failed already: a second failure while that is told only ends.
static STOPPING: AtomicBool = AtomicBool::new(false);

const PAGE_FAULT: u64 = 14;
const VIRTUALIZATION: u64 = 20;

/// Prints `boot: <text>`, reports its first 64 bytes to the VMM, and stays there.
pub(crate) fn stop(text: fmt::Arguments<'_>) -> ! {
    let mut last_words = LastWords { text: [0; FATAL_TEXT_BYTES], len: 0 };
    if !STOPPING.swap(true, Ordering::Relaxed) {
        let _lost = writeln!(last_words, "boot: {text}");
    }
    loop {
        let _returned = ghci::report_fatal_error(0, &last_words.text);
        let _woken = ghci::hlt(true);
    }
}

/// From here on an exception is told instead of being a triple fault.
pub(crate) fn catch_exceptions() {
    let Some(tables) = TABLES.take() else { return };
    install(tables);
}

fn exception(frame: &mut TrapFrame) {
    let TrapFrame { vector, error, rip, .. } = *frame;
    match vector {
        PAGE_FAULT => stop(format_args!(
            "exception {vector}, error {error:#x}, at {rip:#x}: page fault at {:#x}",
            arch::cpu::cr2()
        )),
        VIRTUALIZATION => match guest::vp_veinfo_get() {
            Ok(info) => stop(format_args!("exception {vector}, at {rip:#x}: {info:x?}")),
            Err(status) => stop(format_args!("exception {vector}, at {rip:#x}: {status}")),
        },
        _ => stop(format_args!("exception {vector}, error {error:#x}, at {rip:#x}")),
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    match info.location() {
        Some(place) => stop(format_args!("error: panic at {place}: {}", info.message())),
        None => stop(format_args!("error: panic: {}", info.message())),
    }
}

/// Prints, and keeps the beginning.
struct LastWords {
    text: [u8; FATAL_TEXT_BYTES],
    len: usize,
}

impl Write for LastWords {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let free = self.text.get_mut(self.len..).unwrap_or(&mut []);
        let kept = text.trim_end_matches('\n').as_bytes();
        let count = kept.len().min(free.len());
        free[..count].copy_from_slice(&kept[..count]);
        self.len += count;
        Console.write_str(text)
    }
}

/// Loads the tables.
#[expect(unsafe_code, reason = "loads GDT, TSS and IDT")]
fn install(tables: &'static mut Tables) {
    // SAFETY: called once, by the one CPU that leaves `entry.S`, with interrupts off; there
    // is one address space until `enter::kernel`, which gives up the tables.
    unsafe { trap::init(tables, exception) };
}
