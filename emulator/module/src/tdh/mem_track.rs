//! TDH.MEM.TRACK: the next TD epoch begins. [ABI-H 3.8]
//!
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::{Operand, Regs, Status};

use super::{Leaf, td_operand};
use crate::machine::Machine;
use crate::module::Module;
use crate::td::tdcs::OpState;

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let tdr_pa = regs.rcx;
    let mut td = td_operand(module, m, tdr_pa, Operand::Rcx, OpState::BUILT)?;
    let previous = td.tdcs.td_epoch & 1 ^ 1;
    if td.tdcs.refcount[previous as usize] != 0 {
        return Err(Status::PREVIOUS_TLB_EPOCH_BUSY);
    }
    td.tdcs.td_epoch = td.tdcs.td_epoch.saturating_add(1);
    td.store_tdcs(m);
    Ok(())
}
