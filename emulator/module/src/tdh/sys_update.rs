//! TDH.SYS.UPDATE: takes the handoff data of the module that ran before. [ABI-H 3.3]
//!
//! There never was one: a module that could be updated has no data to take. Of itself
//! never SYS_BUSY: nobody else is in the module.

use abi::Status;

use super::Leaf;
use crate::module::Module;
use crate::sys::SysState;

pub(crate) fn run(module: &Module) -> Leaf {
    if module.state != SysState::InitDone || !module.lp_is_initialized {
        return Err(Status::SYS_STATE_INCORRECT);
    }
    Err(Status::SYS_INVALID_HANDOFF)
}
