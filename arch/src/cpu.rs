//! Single instructions that have no better home.
#![expect(unsafe_code, reason = "instructions that Rust has no words for")]

use core::arch::asm;

/// Stops this CPU for good: interrupts off, then HLT in a loop.
pub fn halt() -> ! {
    loop {
        // SAFETY: CLI and HLT touch neither memory nor the stack, and nothing runs
        // after them on this CPU that could miss the interrupts.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// The address whose access raised the last #PF.
#[must_use]
pub fn cr2() -> u64 {
    let value;
    // SAFETY: reading CR2 at CPL 0 has no effect.
    unsafe { asm!("mov {}, cr2", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// The time stamp counter.
#[must_use]
pub fn rdtsc() -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: RDTSC has no effect but on its two outputs. Not `nomem`, or the compiler may
    // move it past the work that it is to measure.
    unsafe { asm!("rdtsc", out("rax") low, out("rdx") high, options(nostack)) };
    high << 32 | low
}
