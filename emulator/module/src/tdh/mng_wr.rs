//! TDH.MNG.WR: the VMM writes a field of a TD. [ABI-H 3.9, 4.6]
//!
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::field::FieldId;
use abi::{Operand, Regs};

use super::mng_rd::host_side;
use super::{Leaf, td_operand};
use crate::machine::Machine;
use crate::metadata::{Element, td};
use crate::module::Module;
use crate::td::tdcs::OpState;

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let (tdr_pa, id, value, mask) = (regs.rcx, FieldId(regs.rdx), regs.r8, regs.r9);
    regs.r8 = 0;
    let mut owner = td_operand(module, m, tdr_pa, Operand::Rcx, OpState::BUILT)?;
    let side = host_side(&owner);
    let element = Element::find(td::FIELDS, id)?;
    regs.r8 = td::write(&mut owner, &element, side, value, mask)?;
    owner.store_tdcs(m);
    Ok(())
}
