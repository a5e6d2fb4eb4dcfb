//! TDH.PHYMEM.CACHE.WB: writes back the lines of flushed HKIDs. [ABI-H 3.9]
//!
//! Never interrupted here, so there is never anything to resume.
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::{Operand, Regs, Status};

use super::Leaf;
use crate::module::Module;

const START: u64 = 0;
const RESUME: u64 = 1;

pub(crate) fn run(module: &mut Module, regs: &mut Regs) -> Leaf {
    match regs.rcx {
        START if !module.kot.any_flushed() => Err(Status::NO_HKID_READY_TO_WBCACHE),
        START => {
            module.kot.written_back();
            Ok(())
        }
        RESUME => Err(Status::WBCACHE_RESUME_ERROR),
        _ => Err(Status::OPERAND_INVALID.with_operand(Operand::Rcx)),
    }
}
