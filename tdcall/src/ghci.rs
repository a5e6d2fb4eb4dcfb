//! GHCI functions: TDG.VP.VMCALL, answered by the VMM. [TDVF 4.3-4.7]
//!
//! In R10 = 0 (standard function), R11 = function, R12-R15 arguments; out R10 the VMM's
//! answer, R11 (CPUID: R12-R15) results. RCX is the mask of exposed registers, for each
//! function the least that it needs: [`mask`].
//!
//! The VMM is hostile: it may put anything into any exposed register. What a function
//! does not return is cleared, what it returns is cut to its width; whether the value
//! makes sense is for the caller to check.
#![expect(unsafe_code, reason = "TDCALL")]

use core::fmt;

use abi::ghci::function;
use abi::leaf::tdg;
use abi::{GhciStatus, IoWidth, SharedGpa, Status};

/// Exposed registers (RCX) of each function: bit *n* is register *n*.
pub mod mask {
    /// R10, R11, R12, R13 in; R10, R12-R15 out.
    pub const CPUID: u64 = 0xFC00;
    /// R10-R12 in; R10 out.
    pub const HLT: u64 = 0x1C00;
    /// R10-R14 in; R10, R11 out.
    pub const IO_READ: u64 = 0x7C00;
    /// R10-R15 in; R10 out.
    pub const IO_WRITE: u64 = 0xFC00;
    /// R10-R12 in; R10, R11 out.
    pub const RDMSR: u64 = 0x1C00;
    /// R10-R13 in; R10 out.
    pub const WRMSR: u64 = 0x3C00;
    /// R10-R14 in; R10, R11 out.
    pub const MMIO_READ: u64 = 0x7C00;
    /// R10-R15 in; R10 out.
    pub const MMIO_WRITE: u64 = 0xFC00;
    /// R10-R13 in; R10, R11 out.
    pub const MAP_GPA: u64 = 0x3C00;
    /// R10-R15, RBX, RDI, RSI, R8, R9, RDX in.
    pub const REPORT_FATAL_ERROR: u64 = 0xFFCC;
}

/// Why a VP.VMCALL did not do its work, and who said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmcallError {
    /// The TDX module refused the call; the VMM never saw it.
    Module(Status),
    /// The VMM's answer.
    Vmm(GhciStatus),
}

impl fmt::Display for VmcallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Module(status) => write!(f, "the TDX module refused the VMCALL: {status}"),
            Self::Vmm(status) => write!(f, "the VMM answered {status}"),
        }
    }
}

impl core::error::Error for VmcallError {}

/// Sorts the two statuses of a VMCALL.
#[inline]
const fn check(status: Status, r10: u64) -> Result<(), VmcallError> {
    if !matches!(status, Status::SUCCESS) {
        Err(VmcallError::Module(status))
    } else if r10 != 0 {
        Err(VmcallError::Vmm(GhciStatus(r10)))
    } else {
        Ok(())
    }
}

/// Bytes of an MMIO access.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MmioWidth {
    /// One byte.
    Byte = 1,
    /// Two bytes.
    Word = 2,
    /// Four bytes.
    Dword = 4,
    /// Eight bytes.
    Qword = 8,
}

impl MmioWidth {
    /// From a number of bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Option<Self> {
        match bytes {
            1 => Some(Self::Byte),
            2 => Some(Self::Word),
            4 => Some(Self::Dword),
            8 => Some(Self::Qword),
            _ => None,
        }
    }

    /// The bits of a register that an access of this width covers.
    #[must_use]
    pub const fn mask(self) -> u64 {
        u64::MAX >> (64 - 8 * self as u32)
    }
}

/// Instruction.CPUID: `[eax, ebx, ecx, edx]`, upper halves dropped.
///
/// # Errors
/// See [`VmcallError`].
pub fn cpuid(leaf: u32, subleaf: u32) -> Result<[u32; 4], VmcallError> {
    let (r10, eax, ebx, ecx, edx): (u64, u64, u64, u64, u64);
    // SAFETY: touches no memory; every exposed register is an output.
    let status = unsafe {
        tdcall!(tdg::VP_VMCALL, ["r11"], inlateout("rcx") mask::CPUID => _,
                inlateout("r10") 0_u64 => r10, inlateout("r11") function::CPUID => _,
                inlateout("r12") u64::from(leaf) => eax,
                inlateout("r13") u64::from(subleaf) => ebx,
                inlateout("r14") 0_u64 => ecx, inlateout("r15") 0_u64 => edx,)
    };
    check(status, r10)?;
    Ok([eax as u32, ebx as u32, ecx as u32, edx as u32])
}

/// Instruction.HLT: idles until an interrupt is pending; `interrupts_blocked` says that
/// RFLAGS.IF is 0 for the code that halts.
///
/// # Errors
/// See [`VmcallError`].
pub fn hlt(interrupts_blocked: bool) -> Result<(), VmcallError> {
    let r10: u64;
    // SAFETY: touches no memory; every exposed register is an output.
    let status = unsafe {
        tdcall!(tdg::VP_VMCALL, ["r11", "r12"], inlateout("rcx") mask::HLT => _,
                inlateout("r10") 0_u64 => r10, inlateout("r11") function::HLT => _,
                inlateout("r12") u64::from(interrupts_blocked) => _,)
    };
    check(status, r10)
}

/// Instruction.IO, read: the value, zero above its width.
///
/// # Errors
/// See [`VmcallError`].
#[inline]
pub fn io_read(port: u16, width: IoWidth) -> Result<u32, VmcallError> {
    let (r10, value): (u64, u64);
    // SAFETY: the VMM can not reach private memory; every exposed register is an output.
    let status = unsafe {
        tdcall!(tdg::VP_VMCALL, ["r12", "r13", "r14"], inlateout("rcx") mask::IO_READ => _,
                inlateout("r10") 0_u64 => r10, inlateout("r11") function::IO => value,
                inlateout("r12") u64::from(width.bytes()) => _, inlateout("r13") 0_u64 => _,
                inlateout("r14") u64::from(port) => _,)
    };
    check(status, r10)?;
    Ok((value & width.mask()) as u32)
}

/// Instruction.IO, write: the low bytes of `value`.
///
/// # Errors
/// See [`VmcallError`].
#[inline]
pub fn io_write(port: u16, width: IoWidth, value: u32) -> Result<(), VmcallError> {
    let r10: u64;
    // SAFETY: the VMM can not reach private memory; every exposed register is an output.
    let status = unsafe {
        tdcall!(tdg::VP_VMCALL, ["r11", "r12", "r13", "r14", "r15"],
                inlateout("rcx") mask::IO_WRITE => _,
                inlateout("r10") 0_u64 => r10, inlateout("r11") function::IO => _,
                inlateout("r12") u64::from(width.bytes()) => _, inlateout("r13") 1_u64 => _,
                inlateout("r14") u64::from(port) => _,
                inlateout("r15") u64::from(value) & width.mask() => _,)
    };
    check(status, r10)
}

/// Instruction.RDMSR.
///
/// # Errors
/// See [`VmcallError`]; a VMM that does not have the MSR says INVALID_OPERAND.
pub fn rdmsr(index: u32) -> Result<u64, VmcallError> {
    let (r10, value): (u64, u64);
    // SAFETY: touches no memory; every exposed register is an output.
    let status = unsafe {
        tdcall!(tdg::VP_VMCALL, ["r12"], inlateout("rcx") mask::RDMSR => _,
                inlateout("r10") 0_u64 => r10, inlateout("r11") function::RDMSR => value,
                inlateout("r12") u64::from(index) => _,)
    };
    check(status, r10)?;
    Ok(value)
}

/// Instruction.WRMSR.
///
/// # Errors
/// See [`VmcallError`]; a VMM that does not have the MSR says INVALID_OPERAND.
pub fn wrmsr(index: u32, value: u64) -> Result<(), VmcallError> {
    let r10: u64;
    // SAFETY: the VMM changes MSRs of its own making; every exposed register is an output.
    let status = unsafe {
        tdcall!(tdg::VP_VMCALL, ["r11", "r12", "r13"], inlateout("rcx") mask::WRMSR => _,
                inlateout("r10") 0_u64 => r10, inlateout("r11") function::WRMSR => _,
                inlateout("r12") u64::from(index) => _, inlateout("r13") value => _,)
    };
    check(status, r10)
}

/// #VE.RequestMMIO, read: the value, zero above its width.
///
/// # Errors
/// See [`VmcallError`].
#[inline]
pub fn mmio_read(gpa: SharedGpa, width: MmioWidth) -> Result<u64, VmcallError> {
    let (r10, value): (u64, u64);
    // SAFETY: the VMM can not reach private memory; every exposed register is an output.
    let status = unsafe {
        tdcall!(tdg::VP_VMCALL, ["r12", "r13", "r14"], inlateout("rcx") mask::MMIO_READ => _,
                inlateout("r10") 0_u64 => r10, inlateout("r11") function::MMIO => value,
                inlateout("r12") width as u64 => _, inlateout("r13") 0_u64 => _,
                inlateout("r14") gpa.bits() => _,)
    };
    check(status, r10)?;
    Ok(value & width.mask())
}

/// #VE.RequestMMIO, write: the low bytes of `value`.
///
/// # Errors
/// See [`VmcallError`].
#[inline]
pub fn mmio_write(gpa: SharedGpa, width: MmioWidth, value: u64) -> Result<(), VmcallError> {
    let r10: u64;
    // SAFETY: the VMM can not reach private memory; every exposed register is an output.
    let status = unsafe {
        tdcall!(tdg::VP_VMCALL, ["r11", "r12", "r13", "r14", "r15"],
                inlateout("rcx") mask::MMIO_WRITE => _,
                inlateout("r10") 0_u64 => r10, inlateout("r11") function::MMIO => _,
                inlateout("r12") width as u64 => _, inlateout("r13") 1_u64 => _,
                inlateout("r14") gpa.bits() => _, inlateout("r15") value & width.mask() => _,)
    };
    check(status, r10)
}

/// ReportFatalError with the text of `text` in registers, lowest byte first, and an error
/// `code` in R12, whose low 16 bits should be 0 (QEMU calls others invalid). The VMM is
/// expected not to return. [TDVF 4.7]
pub fn report_fatal_error(code: u64, text: &[u8; abi::ghci::FATAL_TEXT_BYTES]) -> VmcallError {
    let mut words = [0_u64; 8];
    for (word, bytes) in words.iter_mut().zip(text.chunks_exact(8)) {
        let mut eight = [0; 8];
        eight.copy_from_slice(bytes);
        *word = u64::from_le_bytes(eight);
    }
    let r10: u64;
    // SAFETY: reads `words`, which outlives the call; RBX, which can not be an operand, is
    // kept on the stack; every exposed register is an output.
    let status = unsafe {
        tdcall!(tdg::VP_VMCALL,
                before ["push rbx", "mov r14, [rdi]", "mov r15, [rdi + 8]", "mov rbx, [rdi + 16]",
                 "mov rsi, [rdi + 32]", "mov r8, [rdi + 40]", "mov r9, [rdi + 48]",
                 "mov rdx, [rdi + 56]", "mov rdi, [rdi + 24]"],
                after ["pop rbx"],
                scrub ["r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "r8", "r9", "rdx"],
                inlateout("rcx") mask::REPORT_FATAL_ERROR => _,
                inlateout("r10") 0_u64 => r10, inlateout("r11") function::REPORT_FATAL_ERROR => _,
                inlateout("r12") code => _, inlateout("r13") 0_u64 => _,
                inlateout("rdi") words.as_ptr() => _,
                out("r14") _, out("r15") _, out("rsi") _, out("r8") _, out("r9") _, out("rdx") _,)
    };
    match check(status, r10) {
        Err(error) => error,
        Ok(()) => VmcallError::Vmm(GhciStatus::SUCCESS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::Gpr;
    use abi::exit::VmcallMask;

    #[test]
    fn no_mask_exposes_a_register_that_must_not_be() {
        let forbidden = [Gpr::Rax, Gpr::Rcx, Gpr::Rsp, Gpr::Rbp];
        let masks = [
            mask::CPUID,
            mask::HLT,
            mask::IO_READ,
            mask::IO_WRITE,
            mask::RDMSR,
            mask::WRMSR,
            mask::MMIO_READ,
            mask::MMIO_WRITE,
            mask::MAP_GPA,
            mask::REPORT_FATAL_ERROR,
        ];
        for bits in masks {
            assert!(forbidden.iter().all(|gpr| !VmcallMask(bits as u32).has(*gpr)), "{bits:#x}");
            assert!(VmcallMask(bits as u32).has(Gpr::R10) && VmcallMask(bits as u32).has(Gpr::R11));
        }
    }

    #[test]
    fn the_fatal_mask_has_every_text_register() {
        let mask = VmcallMask(mask::REPORT_FATAL_ERROR as u32);
        assert!(abi::ghci::FATAL_TEXT.iter().all(|gpr| mask.has(*gpr)));
    }

    #[test]
    fn the_modules_refusal_and_the_vmms_are_told_apart() {
        assert_eq!(check(Status::SUCCESS, 0), Ok(()));
        assert_eq!(check(Status::SUCCESS, 1), Err(VmcallError::Vmm(GhciStatus::RETRY)));
        let refused = Status::OPERAND_INVALID.with_detail(1);
        assert_eq!(check(refused, 0), Err(VmcallError::Module(refused)));
    }
}
