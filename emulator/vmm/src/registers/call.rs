//! What the registers of a VP.VMCALL mean: arguments and results of each function.
//! [TDVF 4.4]
//!
//! R10 and R11 are arguments of every call, R10 is a result of every call. A register of the
//! mask that is neither has to arrive as zero, and nobody reads it when it goes back.

use core::fmt;

use abi::exit::VmcallMask;
use abi::ghci::{FATAL_TEXT, function};
use abi::{GhciStatus, Gpr, RegisterFile, Regs};

const R11: u64 = Gpr::R11.bit();
const R12: u64 = Gpr::R12.bit();
const R13: u64 = Gpr::R13.bit();
const R14: u64 = Gpr::R14.bit();
const R15: u64 = Gpr::R15.bit();
const R12_R15: u64 = R12 | R13 | R14 | R15;

/// A call, as far as its registers are told apart by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    function: Function,
    mask: VmcallMask,
    /// Bits of the value of a port or MMIO access.
    value: u64,
}

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    /// R10 is not zero.
    Vendor,
    /// A standard function.
    Standard(u64),
    /// A standard function that accesses a device, reading.
    Read(u64),
    /// The same, writing.
    Write(u64),
}

impl Call {
    /// From the registers of the TD exit.
    pub(super) fn of(regs: &Regs) -> Self {
        let function = match regs.r11 {
            _ if regs.r10 != 0 => Function::Vendor,
            access @ (function::IO | function::MMIO) if regs.r13 == 1 => Function::Write(access),
            access @ (function::IO | function::MMIO) => Function::Read(access),
            other => Function::Standard(other),
        };
        let value = match regs.r12 {
            bytes @ 1..=7 => (1 << (8 * bytes)) - 1,
            _ => u64::MAX,
        };
        Self { function, mask: VmcallMask(regs.rcx as u32), value }
    }

    /// Which function, and the mask.
    pub(super) const fn key(self) -> (Function, VmcallMask) {
        (self.function, self.mask)
    }

    /// Bits of a register in which an argument may be.
    pub(super) fn argument(self, gpr: Gpr) -> u64 {
        let registers = match self.function {
            Function::Read(_) => R12 | R13 | R14,
            Function::Write(_) => R12_R15,
            Function::Standard(number) => match number {
                function::CPUID | function::WRMSR | function::MAP_GPA | function::GET_QUOTE => {
                    R12 | R13
                }
                function::HLT
                | function::RDMSR
                | function::WBINVD
                | function::GET_TD_VMCALL_INFO
                | function::SETUP_EVENT_NOTIFY_INTERRUPT => R12,
                function::PCONFIG | function::SERVICE => R12_R15,
                function::REPORT_FATAL_ERROR => {
                    FATAL_TEXT.iter().fold(R12 | R13, |all, gpr| all | gpr.bit())
                }
                _ => self.mask.0.into(),
            },
            Function::Vendor => self.mask.0.into(),
        };
        match gpr {
            Gpr::R10 | Gpr::R11 => u64::MAX,
            Gpr::R15 if matches!(self.function, Function::Write(_)) => self.value,
            _ if registers & gpr.bit() != 0 => u64::MAX,
            _ => 0,
        }
    }

    /// Bits of a register in which a result is, if the answer is `status`.
    pub(super) fn result(self, status: GhciStatus, gpr: Gpr) -> u64 {
        if gpr == Gpr::R10 {
            return u64::MAX;
        }
        let (registers, bits) = match self.function {
            // R11 says where to go on, or which page is the reason. [TDVF 4.4]
            Function::Standard(function::MAP_GPA)
                if status != GhciStatus::SUCCESS && status != GhciStatus::SUBFUNC_UNSUPPORTED =>
            {
                (R11, u64::MAX)
            }
            _ if status != GhciStatus::SUCCESS => (0, 0),
            Function::Read(_) => (R11, self.value),
            Function::Standard(number) => match number {
                function::CPUID => (R12_R15, u64::from(u32::MAX)),
                function::RDMSR | function::PCONFIG => (R11, u64::MAX),
                function::GET_TD_VMCALL_INFO => (R11 | R12 | R13 | R14, u64::MAX),
                _ => (0, 0),
            },
            Function::Write(_) | Function::Vendor => (0, 0),
        };
        if registers & gpr.bit() != 0 { bits } else { 0 }
    }

    /// The registers that hold something but no argument: bit *n* is GPR *n*, bit 16 + *n*
    /// XMM *n*. What RAX, RCX, RSP and RBP hold is not the TD's.
    pub(super) fn leaked(self, file: &RegisterFile) -> u32 {
        let passes_xmm = match self.function {
            Function::Vendor => self.mask,
            _ => VmcallMask(0),
        };
        let of_module = [Gpr::Rax, Gpr::Rcx, Gpr::Rsp, Gpr::Rbp];
        leaked(file, |gpr| if of_module.contains(&gpr) { u64::MAX } else { self.argument(gpr) })
            & !(passes_xmm.0 & 0xFFFF_0000)
    }
}

/// The GPRs that hold something outside `allowed`, and the XMM registers that hold something.
pub(super) fn leaked(file: &RegisterFile, allowed: impl Fn(Gpr) -> u64) -> u32 {
    let mut leaked = 0;
    for gpr in Gpr::ALL.into_iter().filter(|gpr| file.gprs[*gpr] & !allowed(*gpr) != 0) {
        leaked |= gpr.bit() as u32;
    }
    for (number, _) in file.xmm.iter().enumerate().filter(|(_, value)| **value != 0) {
        leaked |= 1 << (16 + number);
    }
    leaked
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vendor => f.write_str("vendor"),
            Self::Standard(number) => write!(f, "{number:#x}"),
            Self::Read(number) => write!(f, "{number:#x} read"),
            Self::Write(number) => write!(f, "{number:#x} write"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regs(r11: u64) -> Regs {
        Regs { rcx: 0xFC00, r11, ..Regs::default() }
    }

    fn file(gprs: Regs) -> RegisterFile {
        RegisterFile { gprs, ..RegisterFile::default() }
    }

    #[test]
    fn a_read_gives_as_many_bytes_as_were_asked_for() {
        for (bytes, bits) in [(1, 0xFF), (2, 0xFFFF), (4, 0xFFFF_FFFF), (8, u64::MAX)] {
            for access in [function::IO, function::MMIO] {
                let call = Call::of(&Regs { r12: bytes, ..regs(access) });
                assert_eq!(call.result(GhciStatus::SUCCESS, Gpr::R11), bits);
                assert_eq!(call.result(GhciStatus::INVALID_OPERAND, Gpr::R11), 0);
                assert_eq!(call.result(GhciStatus::SUCCESS, Gpr::R15), 0);
            }
        }
    }

    #[test]
    fn map_gpa_says_where_to_go_on_when_it_did_not_do_all() {
        let call = Call::of(&regs(function::MAP_GPA));
        assert_eq!(call.result(GhciStatus::RETRY, Gpr::R11), u64::MAX);
        assert_eq!(call.result(GhciStatus::SUCCESS, Gpr::R11), 0);
        assert_eq!(call.result(GhciStatus::SUBFUNC_UNSUPPORTED, Gpr::R11), 0);
    }

    #[test]
    fn what_is_no_argument_is_a_leak() {
        let byte = Regs { r12: 1, r13: 1, r14: 0x3F8, r15: 0x41, ..regs(function::IO) };
        let leaked = |gprs: Regs| Call::of(&gprs).leaked(&file(gprs));
        assert_eq!(leaked(byte), 0);
        assert_eq!(leaked(Regs { r15: 0x141, ..byte }), 1 << 15, "a byte is written");
        assert_eq!(leaked(Regs { r13: 0, ..byte }), 1 << 15, "nothing is written");
        assert_eq!(leaked(Regs { rdx: 1, rdi: 1, ..byte }), 1 << 2 | 1 << 7);
        let mut with_xmm = file(byte);
        with_xmm.xmm[15] = 1;
        assert_eq!(Call::of(&byte).leaked(&with_xmm), 1 << 31);
    }

    #[test]
    fn a_vendors_call_has_the_arguments_of_its_mask() {
        let gprs = Regs { rcx: 0x8000_1C00, r10: 7, r11: 1, r12: 2, ..Regs::default() };
        let mut file = file(gprs);
        file.xmm[15] = 1;
        assert_eq!(Call::of(&gprs).leaked(&file), 0);
        (file.xmm[14], file.gprs.r13) = (1, 1);
        assert_eq!(Call::of(&gprs).leaked(&file), 1 << 30 | 1 << 13);
    }
}
