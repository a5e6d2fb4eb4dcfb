//! GHCI functions: TDG.VP.VMCALL, answered by the VMM. [TDVF 4.3-4.7]
//!
//! In R10 = 0 (standard function), R11 = function, R12-R15 arguments; out R10 the VMM's
//! answer, R11 (CPUID: R12-R15) results. RCX is the mask of exposed registers, for each
//! function the least that it needs: [`mask`].
//!
//! The VMM is hostile: it may put anything into any exposed register. What a function
//! does not return is cleared or restored, what it returns is cut to its width; whether
//! the value makes sense is for the caller to check.

mod fatal;
mod instruction;
mod io;
mod map_gpa;
mod mmio;
mod service;

use core::fmt;

use abi::{GhciStatus, Status};

pub use fatal::{report_fatal_error, report_fatal_error_with_page};
pub use instruction::{CacheOperation, cpuid, hlt, pconfig, rdmsr, wbinvd, wrmsr};
pub use io::{io_read, io_write};
pub use map_gpa::{MapGpaError, map_gpa};
pub use mmio::{MmioWidth, mmio_read, mmio_write};
pub use service::{
    NotifyVector, VmcallInfo, get_quote, get_td_vmcall_info, service, setup_event_notify_interrupt,
};

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
    /// R10-R12 in; R10 out.
    pub const WBINVD: u64 = 0x1C00;
    /// R10-R15 in; R10, R11 out.
    pub const PCONFIG: u64 = 0xFC00;
    /// R10-R12 in; R10-R14 out.
    pub const GET_TD_VMCALL_INFO: u64 = 0x7C00;
    /// R10-R13 in; R10, R11 out.
    pub const MAP_GPA: u64 = 0x3C00;
    /// R10-R13 in; R10 out.
    pub const GET_QUOTE: u64 = 0x3C00;
    /// R10-R15, RBX, RDI, RSI, R8, R9, RDX in.
    pub const REPORT_FATAL_ERROR: u64 = 0xFFCC;
    /// R10-R12 in; R10 out.
    pub const SETUP_EVENT_NOTIFY_INTERRUPT: u64 = 0x1C00;
    /// R10-R15 in; R10 out.
    pub const SERVICE: u64 = 0xFC00;
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

/// Both statuses of a VMCALL are zero: the work is done.
#[inline(always)]
const fn succeeded((status, answer): (Status, u64)) -> bool {
    status.0 | answer == 0
}

/// Sorts the two statuses of a VMCALL that did not succeed, and clears its results.
#[inline(always)]
#[expect(unsafe_code, reason = "clears registers")]
fn refused<T>((status, answer): (Status, u64)) -> Result<T, VmcallError> {
    core::hint::cold_path();
    forget!("rsi", "r8", "r9", "r11");
    Err(if status.0 == 0 {
        VmcallError::Vmm(GhciStatus(answer))
    } else {
        VmcallError::Module(status)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::Gpr;
    use abi::exit::VmcallMask;

    /// Arguments and results of each function. [TDVF 4.4]
    const TABLE: [(u64, &[Gpr], &[Gpr]); 15] = [
        (mask::CPUID, &[Gpr::R12, Gpr::R13], &[Gpr::R12, Gpr::R13, Gpr::R14, Gpr::R15]),
        (mask::HLT, &[Gpr::R12], &[]),
        (mask::IO_READ, &[Gpr::R12, Gpr::R13, Gpr::R14], &[Gpr::R11]),
        (mask::IO_WRITE, &[Gpr::R12, Gpr::R13, Gpr::R14, Gpr::R15], &[]),
        (mask::RDMSR, &[Gpr::R12], &[Gpr::R11]),
        (mask::WRMSR, &[Gpr::R12, Gpr::R13], &[]),
        (mask::MMIO_READ, &[Gpr::R12, Gpr::R13, Gpr::R14], &[Gpr::R11]),
        (mask::MMIO_WRITE, &[Gpr::R12, Gpr::R13, Gpr::R14, Gpr::R15], &[]),
        (mask::WBINVD, &[Gpr::R12], &[]),
        (mask::PCONFIG, &[Gpr::R12, Gpr::R13, Gpr::R14, Gpr::R15], &[Gpr::R11]),
        (mask::GET_TD_VMCALL_INFO, &[Gpr::R12], &[Gpr::R11, Gpr::R12, Gpr::R13, Gpr::R14]),
        (mask::MAP_GPA, &[Gpr::R12, Gpr::R13], &[Gpr::R11]),
        (mask::GET_QUOTE, &[Gpr::R12, Gpr::R13], &[]),
        (mask::SETUP_EVENT_NOTIFY_INTERRUPT, &[Gpr::R12], &[]),
        (mask::SERVICE, &[Gpr::R12, Gpr::R13, Gpr::R14, Gpr::R15], &[]),
    ];

    #[test]
    fn each_mask_is_the_least_that_its_function_needs() {
        for (mask, arguments, results) in TABLE {
            let always = Gpr::R10.bit() | Gpr::R11.bit();
            let needed = arguments.iter().chain(results).fold(always, |all, gpr| all | gpr.bit());
            assert_eq!(mask, needed, "{mask:#x}");
        }
    }

    #[test]
    fn no_mask_exposes_a_register_that_must_not_be() {
        let forbidden = [Gpr::Rax, Gpr::Rcx, Gpr::Rsp, Gpr::Rbp];
        for mask in TABLE.map(|row| row.0).into_iter().chain([mask::REPORT_FATAL_ERROR]) {
            assert!(forbidden.iter().all(|gpr| !VmcallMask(mask as u32).has(*gpr)), "{mask:#x}");
        }
    }

    #[test]
    fn the_modules_refusal_and_the_vmms_are_told_apart() {
        assert!(succeeded((Status::SUCCESS, 0)));
        let retry = (Status::SUCCESS, GhciStatus::RETRY.0);
        assert!(!succeeded(retry));
        assert_eq!(refused::<()>(retry), Err(VmcallError::Vmm(GhciStatus::RETRY)));
        let status = Status::OPERAND_INVALID.with_detail(1);
        assert!(!succeeded((status, 0)));
        assert_eq!(refused::<()>((status, 0)), Err(VmcallError::Module(status)));
    }
}
