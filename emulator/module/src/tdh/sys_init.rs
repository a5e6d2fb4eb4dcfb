//! TDH.SYS.INIT: the module starts. [ABI-H 3.5]
//!
//! The platform checks of 1.5.01 are left out: every CPU that QEMU offers is taken. Of
//! itself never SYS_BUSY or RND_NO_ENTROPY: nobody else is in the module.

use abi::{Operand, Regs, Status};

use super::Leaf;
use crate::machine::Machine;
use crate::module::Module;
use crate::sys::{MSR_TSC_ADJUST, SysState};

pub(crate) fn run(module: &mut Module, m: &dyn Machine, regs: &mut Regs) -> Leaf {
    let attributes = regs.rcx;
    (regs.rcx, regs.rdx, regs.r8, regs.r9, regs.r10) = (0, 0, 0, 0, 0);
    if attributes != 0 {
        return Err(Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    }
    if module.state != SysState::Pending {
        return Err(Status::SYS_INIT_NOT_PENDING);
    }
    module.tsc_adjust = m.vmm_msr(MSR_TSC_ADJUST);
    module.state = SysState::InitDone;
    Ok(())
}
