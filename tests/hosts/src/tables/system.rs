//! TDH.SYS.*, from the first SEAMCALL until the module is READY. [ABI-H 1.5, 3.5]

use abi::Operand::{Rax, Rcx};
use abi::Status;
use conformance::Value::{At, Is};

use super::{invalid, tables};
use crate::place::Buffer;
use crate::place::Place::{Buffer as In, Hkid};

/// All ones: no field.
const NULL: u64 = u64::MAX;

tables! {
    /// RAX, whatever else is wrong.
    DISPATCH ["ABI-H 1.5"] {
        "RAX bit 24 is reserved": SYS_INIT + (1 << 24)
            => (Rcx: Is(1)) -> invalid(Rax);
        "RAX bit 31 is reserved": SYS_INIT + (1 << 31)
            => (Rcx: Is(1)) -> invalid(Rax);
        "RAX bit 32 is reserved": SYS_INIT + (1 << 32)
            => (Rcx: Is(1)) -> invalid(Rax);
        "RAX bit 62 is reserved": SYS_INIT + (1 << 62)
            => (Rcx: Is(1)) -> invalid(Rax);
        "all reserved bits of RAX at once": SYS_INIT + 0x7FFF_FFFF_FF00_0000
            => (Rcx: Is(1)) -> invalid(Rax);
        "version 255 of a leaf that has one": SYS_INIT + 0xFF_0000
            => (Rcx: Is(1)) -> invalid(Rax);
    }

    /// Before SYS.INIT.
    PENDING ["ABI-H 3.5"] {
        "SYS.INIT has not run": SYS_LP_INIT
            => () -> Status::SYS_LP_INIT_NOT_PENDING, (Rcx: Is(0), Rdx: Is(0), R8: Is(0));
        "the processor is not initialised": SYS_INFO
            => () -> Status::SYS_LP_INIT_NOT_DONE, (Rdx: Is(0), R9: Is(0));
        "the processor is not initialised": SYS_RD
            => (Rdx: Is(NULL)) -> Status::SYS_LP_INIT_NOT_DONE, (Rdx: Is(NULL), R8: Is(0));
        "the processor is not initialised": SYS_RDALL
            => () -> Status::SYS_LP_INIT_NOT_DONE, (R8: Is(NULL));
        "SYS.INIT has not run": SYS_CONFIG
            => () -> Status::SYS_CONFIG_NOT_PENDING;
        "SYS.CONFIG has not run": SYS_KEY_CONFIG
            => () -> Status::SYS_KEY_CONFIG_NOT_PENDING;
        "SYS.INIT has not run": SYS_UPDATE
            => () -> Status::SYS_STATE_INCORRECT;
        "it does nothing, at any time": SYS_LP_SHUTDOWN
            => () -> Status::SUCCESS;
        "RCX bit 0 is reserved": SYS_INIT
            => (Rcx: Is(1)) -> invalid(Rcx),
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0), R9: Is(0), R10: Is(0));
        "RCX bit 63 is reserved": SYS_INIT
            => (Rcx: Is(1 << 63)) -> invalid(Rcx),
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0), R9: Is(0), R10: Is(0));
        "the platform is checked": SYS_INIT
            => (Rcx: Is(0)) -> Status::SUCCESS,
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0), R9: Is(0), R10: Is(0));
    }

    /// After SYS.INIT, before SYS.LP.INIT.
    INIT_DONE ["ABI-H 3.5"] {
        "RCX is looked at before the state": SYS_INIT
            => (Rcx: Is(2)) -> invalid(Rcx),
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0), R9: Is(0), R10: Is(0));
        "it has run": SYS_INIT
            => (Rcx: Is(0)) -> Status::SYS_INIT_NOT_PENDING,
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0), R9: Is(0), R10: Is(0));
        "the processor is still not initialised": SYS_RD
            => (Rdx: Is(0)) -> Status::SYS_LP_INIT_NOT_DONE, (Rdx: Is(NULL), R8: Is(0));
        "a processor is not initialised": SYS_CONFIG
            => (Rcx: At(In(Buffer::TdmrArray)), Rdx: Is(1), R8: At(Hkid(0)))
            -> Status::SYS_CONFIG_NOT_PENDING;
        "a processor is not initialised": SYS_UPDATE
            => () -> Status::SYS_STATE_INCORRECT;
        "SYS.CONFIG has still not run": SYS_KEY_CONFIG
            => () -> Status::SYS_KEY_CONFIG_NOT_PENDING;
        "the processor is initialised": SYS_LP_INIT
            => () -> Status::SUCCESS, (Rcx: Is(0), Rdx: Is(0), R8: Is(0));
        "the processor was initialised": SYS_LP_INIT
            => () -> Status::SYS_LP_INIT_DONE, (Rcx: Is(0), Rdx: Is(0), R8: Is(0));
        "there is no module before this one": SYS_UPDATE
            => () -> Status::SYS_INVALID_HANDOFF;
    }
}
