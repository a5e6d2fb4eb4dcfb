//! Instructions that the VMM executes for the TD: CPUID, HLT, MSRs, cache flushes, PCONFIG.
//! [TDVF 4.4]
#![expect(unsafe_code, reason = "TDCALL")]

use abi::ghci::function;

use super::{VmcallError, mask, refused, succeeded};

/// Instruction.CPUID: `[eax, ebx, ecx, edx]`, upper halves dropped. [TDVF 4.4]
///
/// In R12 leaf, R13 sub-leaf; out R12-R15.
///
/// # Errors
/// See [`VmcallError`].
pub fn cpuid(leaf: u32, subleaf: u32) -> Result<[u32; 4], VmcallError> {
    let (eax, ebx, ecx, edx): (u64, u64, u64, u64);
    // SAFETY: touches no memory; every exposed register is an output or is lent.
    let answer = unsafe {
        vmcall!(mask mask::CPUID,
                swap ["r12" with "rsi" = u64::from(leaf) => ebx,
                      "r13" with "rdx" = u64::from(subleaf) => ecx,
                      "r14" with "r8" = 0_u64 => edx, "r15" with "r9" = 0_u64 => _],
                back ["mov r11d, r12d", "mov r12, rsi", "mov esi, r13d", "mov r13, rdx",
                      "mov edx, r14d", "mov r14, r8", "mov r8d, r15d", "mov r15, r9"],
                inlateout("r11") function::CPUID => eax,)
    };
    if succeeded(answer) {
        Ok([eax as u32, ebx as u32, ecx as u32, edx as u32])
    } else {
        forget!("rdx");
        refused(answer)
    }
}

/// Instruction.HLT: idles until an interrupt is pending; `interrupts_blocked` says that
/// RFLAGS.IF is 0 for the code that halts. [TDVF 4.4]
///
/// In R12 bit 0.
///
/// # Errors
/// See [`VmcallError`].
pub fn hlt(interrupts_blocked: bool) -> Result<(), VmcallError> {
    one_argument::<{ mask::HLT }, { function::HLT }>(u64::from(interrupts_blocked))
}

/// Instruction.RDMSR. [TDVF 4.4]
///
/// In R12 index; out R11 value.
///
/// # Errors
/// See [`VmcallError`]; a VMM that does not have the MSR says INVALID_OPERAND.
pub fn rdmsr(index: u32) -> Result<u64, VmcallError> {
    let value: u64;
    // SAFETY: touches no memory; every exposed register is an output or is lent.
    let answer = unsafe {
        vmcall!(mask mask::RDMSR, lend ["r12" by "rsi" = u64::from(index)], after [],
                inlateout("r11") function::RDMSR => value,)
    };
    if succeeded(answer) { Ok(value) } else { refused(answer) }
}

/// Instruction.WRMSR. [TDVF 4.4]
///
/// In R12 index, R13 value.
///
/// # Errors
/// See [`VmcallError`]; a VMM that does not have the MSR says INVALID_OPERAND.
pub fn wrmsr(index: u32, value: u64) -> Result<(), VmcallError> {
    // SAFETY: the VMM changes MSRs of its own making; every exposed register is an output or
    // is lent.
    let answer = unsafe {
        vmcall!(mask mask::WRMSR,
                lend ["r12" by "rdi" = u64::from(index), "r13" by "rsi" = value],
                after ["xor r11d, r11d"], inlateout("r11") function::WRMSR => _,)
    };
    if succeeded(answer) { Ok(()) } else { refused(answer) }
}

/// What Instruction.WBINVD does to the caches.
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheOperation {
    /// WBINVD: writes back and invalidates.
    WriteBackInvalidate = 0,
    /// WBNOINVD: writes back.
    WriteBack = 1,
}

/// Instruction.WBINVD. [TDVF 4.4]
///
/// In R12 operation.
///
/// # Errors
/// See [`VmcallError`]; KVM says SUBFUNC_UNSUPPORTED.
pub fn wbinvd(operation: CacheOperation) -> Result<(), VmcallError> {
    one_argument::<{ mask::WBINVD }, { function::WBINVD }>(operation as u64)
}

/// Instruction.PCONFIG: asks for PCONFIG with these values of EAX, RBX, RCX and RDX; what
/// the leaf gives comes back. [TDVF 4.4]
///
/// In R12 leaf, R13-R15 operands; out R11.
///
/// # Errors
/// See [`VmcallError`]; KVM says SUBFUNC_UNSUPPORTED.
pub fn pconfig(leaf: u32, operands: [u64; 3]) -> Result<u64, VmcallError> {
    let [rbx, rcx, rdx] = operands;
    let value: u64;
    // SAFETY: a VMM programs no key of this TD, whose key is the module's; every exposed
    // register is an output or is lent.
    let answer = unsafe {
        vmcall!(mask mask::PCONFIG,
                lend ["r12" by "rsi" = u64::from(leaf), "r13" by "r8" = rbx,
                      "r14" by "r9" = rcx, "r15" by "rdx" = rdx],
                after [], inlateout("r11") function::PCONFIG => value,)
    };
    if succeeded(answer) { Ok(value) } else { refused(answer) }
}

/// A function that takes R12 and gives nothing.
#[inline(always)]
pub(super) fn one_argument<const MASK: u64, const FUNCTION: u64>(
    argument: u64,
) -> Result<(), VmcallError> {
    // SAFETY: touches no memory; every exposed register is an output or is lent.
    let answer = unsafe {
        vmcall!(mask MASK, lend ["r12" by "rdi" = argument],
                after ["xor r11d, r11d"], inlateout("r11") FUNCTION => _,)
    };
    if succeeded(answer) { Ok(()) } else { refused(answer) }
}
