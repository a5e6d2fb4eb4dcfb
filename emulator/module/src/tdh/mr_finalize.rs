//! TDH.MR.FINALIZE: the measurement is complete, the TD may run. [ABI-H 3.7]
//!
//! SERVTD_HASH stays zero: no service TD is bound.
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::{Operand, Regs, Status};

use super::{Leaf, td_operand};
use crate::machine::Machine;
use crate::module::Module;
use crate::td::tdcs::OpState;

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let tdr_pa = regs.rcx;
    let mut td = td_operand(module, m, tdr_pa, Operand::Rcx, &[OpState::Initialized])?;
    if td.tdcs.num_vcpus == 0 {
        return Err(Status::NO_VCPUS);
    }
    td.tdcs.mrtd = td.tdcs.measurement.clone().finish();
    td.tdcs.op_state = OpState::Runnable as u32;
    td.store_tdcs(m);
    Ok(())
}
