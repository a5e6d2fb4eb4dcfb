//! Model-specific registers.
#![expect(unsafe_code, reason = "RDMSR and WRMSR")]

use core::arch::asm;

/// Reads MSR `index`.
///
/// # Safety
/// The MSR must exist, or the caller's #GP handler must cope.
#[must_use]
pub unsafe fn read(index: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: RDMSR writes EAX and EDX alone; existence is the caller's promise.
    unsafe {
        asm!("rdmsr", in("ecx") index, out("eax") low, out("edx") high,
             options(nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Writes MSR `index`.
///
/// # Safety
/// The MSR must exist and take `value`, and the change must not break an assumption
/// of running code (paging, stacks, memory types).
pub unsafe fn write(index: u32, value: u64) {
    // SAFETY: WRMSR writes no register; the effect is the caller's promise.
    unsafe {
        asm!("wrmsr", in("ecx") index, in("eax") value as u32, in("edx") (value >> 32) as u32,
             options(nostack, preserves_flags));
    }
}
