//! TDH.SYS.SHUTDOWN: the module ends and leaves handoff data to its successor.
//! [ABI-H 3.3]
//!
//! RCX is the version of the data that the successor understands. Nobody loads a
//! successor here, as there is no P-SEAMLDR, so the data is not made. Of itself never
//! SYS_BUSY: nobody else is in the module.

use abi::{Operand, Regs, Status};

use super::Leaf;
use crate::module::Module;
use crate::sys::{HANDOFF_VERSION, SysState};

pub(crate) fn run(module: &mut Module, regs: &Regs) -> Leaf {
    if regs.rcx != HANDOFF_VERSION {
        return Err(Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    }
    module.state = SysState::Shutdown;
    Ok(())
}
