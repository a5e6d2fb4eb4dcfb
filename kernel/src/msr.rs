//! MSRs that may not be there: #GP is an answer.
#![expect(unsafe_code, reason = "RDMSR and WRMSR")]

use core::arch::asm;

use crate::caught;
use crate::fault::Fault;

/// Reads an MSR.
///
/// # Errors
/// The processor or the TDX module raised #GP, or the MSR is not one that the kernel asks the
/// host for, or the host does not have it.
pub fn read(index: u32) -> Result<u64, Fault> {
    let (rax, high): (u64, u32);
    // SAFETY: RDMSR writes EAX and EDX alone; if it raises #GP, execution goes on behind it.
    unsafe {
        asm!(caught!("rdmsr"), in("ecx") index, out("rax") rax, out("edx") high,
             options(nostack, preserves_flags));
    }
    match Fault::from_rax(rax) {
        None => Ok(u64::from(high) << 32 | rax),
        Some(fault) => Err(fault),
    }
}

/// Writes an MSR.
///
/// # Errors
/// As [`read`], and #GP for a value that the MSR does not take.
///
/// # Safety
/// The change must not break an assumption of running code (paging, stacks, memory types).
pub unsafe fn write(index: u32, value: u64) -> Result<(), Fault> {
    let mut rax = value & 0xFFFF_FFFF;
    // SAFETY: WRMSR writes no register; if it raises #GP, execution goes on behind it. The
    // effect is the caller's promise.
    unsafe {
        asm!(caught!("wrmsr"), in("ecx") index, inlateout("rax") rax, in("edx") value >> 32,
             options(nostack, preserves_flags));
    }
    Fault::from_rax(rax).map_or(Ok(()), Err)
}
