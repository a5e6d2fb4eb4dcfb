//! The module's end. [ABI-H 3.3, 3.5]

use abi::Operand::{Rax, Rcx};
use abi::Status;
use conformance::Value::Is;

use super::{invalid, tables};

tables! {
    /// READY.
    BEFORE ["ABI-H 3.5"] {
        "there is no such handoff version": SYS_SHUTDOWN
            => (Rcx: Is(1)) -> invalid(Rcx);
        "RCX bit 16 is no version": SYS_SHUTDOWN
            => (Rcx: Is(1 << 16)) -> invalid(Rcx);
    }

    /// After SYS.SHUTDOWN; the other leaves follow.
    AFTER ["ABI-H 1.5"] {
        "RAX is looked at before the state": SYS_INIT + (1 << 24)
            => () -> invalid(Rax);
        "the module is shut down, and there is no such leaf": VP_ENTER + 42
            => () -> Status::SYS_SHUTDOWN;
        "it does nothing, even now": SYS_LP_SHUTDOWN
            => () -> Status::SUCCESS;
    }
}
