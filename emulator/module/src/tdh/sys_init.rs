//! TDH.SYS.INIT: the module starts. [ABI-H 3.5]
//!
//! The platform checks of 1.5.01 are left out: every CPU that QEMU offers is taken.

use abi::{Operand, Regs, Status};

use super::Leaf;
use crate::module::Module;
use crate::sys::SysState;

pub(crate) fn run(module: &mut Module, regs: &mut Regs) -> Leaf {
    let attributes = regs.rcx;
    (regs.rcx, regs.rdx, regs.r8, regs.r9, regs.r10) = (0, 0, 0, 0, 0);
    if attributes != 0 {
        return Err(Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    }
    if module.state != SysState::Pending {
        return Err(Status::SYS_INIT_NOT_PENDING);
    }
    module.state = SysState::InitDone;
    Ok(())
}
