//! TDH.PHYMEM.CACHE.WB: writes back the lines of flushed HKIDs. [ABI-H 3.9]
//!
//! Interrupted only on demand, by [`crate::injection`].
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::{Operand, Regs, Status};

use super::Leaf;
use crate::module::Module;

const START: u64 = 0;
const RESUME: u64 = 1;

pub(crate) fn run(module: &mut Module, regs: &mut Regs) -> Leaf {
    if regs.rcx == START {
        module.kot.start_write_back();
    }
    match regs.rcx {
        START if !module.kot.any_flushed() => Err(Status::NO_HKID_READY_TO_WBCACHE),
        RESUME if !module.kot.is_write_back_interrupted() => Err(Status::WBCACHE_RESUME_ERROR),
        START | RESUME => {
            module.kot.written_back();
            Ok(())
        }
        _ => Err(Status::OPERAND_INVALID.with_operand(Operand::Rcx)),
    }
}
