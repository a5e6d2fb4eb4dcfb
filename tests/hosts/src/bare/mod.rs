//! The hardware under a program: traps, log, end, and the memory that QEMU gave it.
//!
//! Physical memory is identity-mapped; interrupts are off.
#![expect(unsafe_code, reason = "trap tables, the start info, the debug-exit port")]

use core::fmt::{Arguments, Write as _};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use core::{ptr, slice};

use abi::verdict;
use arch::BootCell;
use arch::debugcon::Debugcon;
use arch::extable::Entry;
use arch::pvh::{RAM, StartInfo};
use arch::trap::{self, Tables, TrapFrame};
use arch::{cpu, port};

pub mod apic;
pub mod config;
mod memory;

pub use memory::{read, write, write_bytes, zero};

/// The VMM's debug console.
const CONSOLE: u16 = 0xE9;
/// Where the programs stand ends here: see vmm.ld.
const OWN_END: u64 = 0x300_0000;

static TABLES: BootCell<Tables> = BootCell::new(Tables::new());
static EXTABLE: AtomicPtr<Entry> = AtomicPtr::new(ptr::null_mut());
static EXTABLE_LEN: AtomicUsize = AtomicUsize::new(0);

/// From here on traps are handled; `extable` is the program's `arch::extable!()`.
pub fn init(extable: &'static [Entry]) {
    EXTABLE_LEN.store(extable.len(), Ordering::Relaxed);
    EXTABLE.store(extable.as_ptr().cast_mut(), Ordering::Release);
    if let Some(tables) = TABLES.take() {
        // SAFETY: the start code leaves 64-bit mode at CPL 0 with interrupts off, this is
        // the only processor, and its one address space is the identity map.
        unsafe { trap::init(tables, handle) };
    }
}

fn extable() -> &'static [Entry] {
    let start = EXTABLE.load(Ordering::Acquire);
    if start.is_null() {
        return &[];
    }
    // SAFETY: start and length of the slice that `init` got.
    unsafe { slice::from_raw_parts(start, EXTABLE_LEN.load(Ordering::Relaxed)) }
}

fn handle(frame: &mut TrapFrame) {
    const UNDEFINED_OPCODE: u64 = 6;
    const GENERAL_PROTECTION: u64 = 13;
    const MACHINE_CHECK: u64 = 18;
    let can_be_fixed = matches!(frame.vector, UNDEFINED_OPCODE | GENERAL_PROTECTION);
    if can_be_fixed && arch::extable::fixup(extable(), frame) {
        return;
    }
    let TrapFrame { vector, error, rip, .. } = *frame;
    log(format_args!("error: VMM: exception {vector} (error {error:#x}) at rip {rip:#x}"));
    let stopped = vector == MACHINE_CHECK;
    end(if stopped { verdict::VMM_STOPPED } else { verdict::EMULATOR_FAILED })
}

/// Bytes `[start, end)` of RAM above the program, from the PVH memory map: the largest range.
///
/// # Safety
/// `start_info` is what the PVH loader left in EBX, and nothing was written since.
pub unsafe fn ram(start_info: u64) -> Option<(u64, u64)> {
    // SAFETY: the caller's promise.
    let info = unsafe { StartInfo::read(start_info) }?;
    // SAFETY: the caller's promise.
    let map = unsafe { info.memory_map() };
    map.filter(|range| range.kind == RAM)
        .map(|range| (range.base.max(OWN_END), range.base + range.size))
        .filter(|(start, end)| start < end)
        .max_by_key(|(start, end)| end - start)
}

/// A line on the VMM's log.
pub fn log(text: Arguments<'_>) {
    // The debug console takes everything.
    let _: core::fmt::Result = writeln!(Debugcon(CONSOLE), "vmm: {text}");
}

/// A line on the VMM's log as it is.
pub fn line(text: Arguments<'_>) {
    let _: core::fmt::Result = writeln!(Debugcon(CONSOLE), "{text}");
}

/// Ends QEMU with this verdict.
pub fn end(value: u32) -> ! {
    // SAFETY: the debug-exit device ends QEMU; it changes no memory.
    unsafe { port::outl(verdict::PORT, value) };
    cpu::halt()
}
