//! TDH.VP.ENTER: refused, and how it comes back. [ABI-H 5]

use abi::Operand::Rcx;
use abi::Status;
use conformance::Value::{At, Is, Past};

use super::{invalid, tables};
use crate::guest;
use crate::place::Place::Tdvpr;

/// VMX exit reasons, with the class in the upper half. [ABI-H 5.7, 5.8]
pub mod exit {
    #![expect(missing_docs, reason = "the constant is the exit's name")]
    use abi::Status;
    pub const INTERRUPT: Status = Status(1);
    pub const EPT_VIOLATION: Status = Status(48);
    pub const EPT_MISCONFIGURATION: Status = Status(49);
    pub const TDCALL: Status = Status(77);
    pub const TRIPLE_FAULT: Status = Status::NON_RECOVERABLE_VCPU.with_detail(2);
    pub const ENTRY_FAILURE: Status = Status::NON_RECOVERABLE_TD.with_detail(1 << 31 | 33);
}

tables! {
    /// The TD may run; nobody did yet.
    REFUSED ["ABI-H 5.2"] {
        "RCX bit 0 is reserved": VP_ENTER => (Rcx: Past(Tdvpr(0), 1)) -> invalid(Rcx);
        "RCX bit 11 is reserved": VP_ENTER => (Rcx: Past(Tdvpr(0), 1 << 11)) -> invalid(Rcx);
        "RCX bit 54 is reserved": VP_ENTER => (Rcx: Past(Tdvpr(0), 1 << 54)) -> invalid(Rcx);
        "RCX bit 63 is reserved": VP_ENTER => (Rcx: Past(Tdvpr(0), 1 << 63)) -> invalid(Rcx);
        "it has one page of six": VP_ENTER
            => (Rcx: At(Tdvpr(3))) -> Status::TDCX_NUM_INCORRECT;
        "it is not initialised": VP_ENTER
            => (Rcx: At(Tdvpr(2))) -> Status::VCPU_STATE_INCORRECT;
        "the hint comes after a trap-like exit only": VP_ENTER
            => (Rcx: Past(Tdvpr(0), 1 << 52)) -> invalid(Rcx);
        "no nested VM was running": VP_ENTER
            => (Rcx: Past(Tdvpr(0), 1 << 53)) -> invalid(Rcx);
    }

    /// IA32_MISC_ENABLE says that CPUID is cut.
    CUT ["ABI-H 5.2, 3.6"] {
        "CPUID is cut by IA32_MISC_ENABLE, and RCX is wrong": VP_ENTER
            => (Rcx: Is(1)) -> Status::LIMIT_CPUID_MAXVAL_SET;
        "CPUID is cut by IA32_MISC_ENABLE, and RCX is wrong": MNG_INIT
            => (Rcx: Is(1)) -> Status::LIMIT_CPUID_MAXVAL_SET, (Rcx: Is(0));
    }

    /// The TD has MONITOR, which IA32_MISC_ENABLE has off.
    NO_MONITOR ["ABI-H 5.2"] {
        "the TD has MONITOR and the processor has it off": VP_ENTER
            => (Rcx: At(Tdvpr(0))) -> Status::INCORRECT_MSR_VALUE.with_detail(0x1A0);
    }

    /// A triple fault ended the vCPU.
    DISABLED ["ABI-H 5.7"] {
        "the vCPU is disabled": VP_ENTER
            => (Rcx: At(Tdvpr(0))) -> Status::VCPU_STATE_INCORRECT;
        "the vCPU is disabled": VP_WR
            => (Rcx: At(Tdvpr(0)), Rdx: Is(0)) -> Status::VCPU_STATE_INCORRECT, (R8: Is(0));
        "a disabled vCPU is still shown": VP_RD
            => (Rcx: At(Tdvpr(0)), Rdx: Is(abi::field::vp::VCPU_INDEX.0)) -> Status::SUCCESS,
            (R8: Is(0));
    }
}

/// What the guest is asked to do: R10, R11, R12.
pub type Command = [u64; 3];

/// An asynchronous exit: RCX, RDX, R8 and R9; RBX, RSI, RDI and R10-R15 are 0. [ABI-H 5.5]
#[derive(Clone, Copy, Debug)]
pub struct Exit {
    /// What happens.
    pub name: &'static str,
    /// What the guest is asked for, if it asks.
    pub command: Command,
    /// RAX.
    pub status: Status,
    /// RCX: exit qualification.
    pub rcx: u64,
    /// RDX: extended exit qualification.
    pub rdx: u64,
    /// R8: GPA.
    pub r8: u64,
}

/// RCX bits of an EPT violation. [SDM3 28.2.1]
pub const READ: u64 = 1;
/// As above.
pub const WRITE: u64 = 2;
/// RDX: a page that is not accepted. [ABI-H 5.5]
pub const PENDING: u64 = 6;
/// RDX: TDG.MEM.PAGE.ACCEPT of a 4 KiB page found a free entry of that level.
pub const ACCEPT: u64 = 1;

const fn violation(name: &'static str, command: Command, rcx: u64, rdx: u64, r8: u64) -> Exit {
    Exit { name, command, status: exit::EPT_VIOLATION, rcx, rdx, r8 }
}

/// GPA that a vCPU reads and never gets.
pub const MISSING: u64 = 0x5000;
/// GPA that is accepted in the end.
pub const ACCEPTED: u64 = 0x6000;

/// Nothing is mapped at [`MISSING`].
pub const FREE: Exit =
    violation("a read where nothing is", [guest::LOAD, MISSING, 0], READ, 0, MISSING);
/// A page is pending at [`MISSING`].
pub const NOT_ACCEPTED: Exit =
    violation("a read of a page that is not accepted", [0; 3], READ, PENDING, MISSING);
/// It is blocked.
pub const PENDING_BLOCKED: Exit =
    violation("a read of a page that is not accepted, and blocked", [0; 3], READ, 0, MISSING);
/// The same violation came seven times at one instruction: the vCPU is not entered any more.
/// [ABI-H 5.2]
pub const REFUSED_ENTRY: Exit =
    violation("the defence against zero-stepping", [0; 3], WRITE, 0, MISSING);
/// The mapped page at GPA 0 is blocked.
pub const BLOCKED: Exit =
    violation("a write to a blocked page", [guest::STORE, 0x18, 0x5AFE], WRITE, 0, 0);
/// Nothing is mapped at [`ACCEPTED`].
pub const NOT_THERE: Exit = violation(
    "MEM.PAGE.ACCEPT where nothing is",
    [guest::ACCEPT, ACCEPTED, 0],
    WRITE,
    ACCEPT,
    ACCEPTED,
);
/// The shared EPT is empty.
pub const SHARED: Exit = violation(
    "a read of shared memory that is not mapped",
    [guest::LOAD, guest::SHARED + 0x1008, 0],
    READ,
    0,
    guest::SHARED_BIT | 0x1000,
);
/// An entry of the shared EPT is W without R.
pub const MISCONFIGURED: Exit = Exit {
    name: "a shared EPT entry that lets write and not read",
    command: [0; 3],
    status: exit::EPT_MISCONFIGURATION,
    rcx: 0,
    rdx: 0,
    r8: guest::SHARED_BIT | 0x1000,
};
/// UD2 without an IDT.
pub const TRIPLE_FAULT: Exit = Exit {
    name: "an exception without an IDT",
    command: [guest::DIE, 0, 0],
    status: exit::TRIPLE_FAULT,
    rcx: 0,
    rdx: 0,
    r8: 0,
};
/// A code segment that no CPU should load was loaded.
pub const ENTRY_FAILURE: Exit = Exit {
    name: "a state that no CPU can be in",
    command: [0; 3],
    status: exit::ENTRY_FAILURE,
    rcx: 0,
    rdx: 0,
    r8: 0,
};
