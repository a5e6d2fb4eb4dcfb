//! TDH.SYS.LP.INIT: the logical processor joins. [ABI-H 3.5]
//!
//! Of itself never SYS_BUSY or RND_NO_ENTROPY, and no status of a comparison with another
//! processor: there is none.

use abi::{Regs, Status};

use super::Leaf;
use crate::module::Module;
use crate::sys::SysState;

pub(crate) fn run(module: &mut Module, regs: &mut Regs) -> Leaf {
    (regs.rcx, regs.rdx, regs.r8) = (0, 0, 0);
    if module.state != SysState::InitDone {
        return Err(Status::SYS_LP_INIT_NOT_PENDING);
    }
    if module.lp_is_initialized {
        return Err(Status::SYS_LP_INIT_DONE);
    }
    module.lp_is_initialized = true;
    Ok(())
}
