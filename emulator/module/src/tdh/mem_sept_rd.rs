//! TDH.MEM.SEPT.RD: reads an entry of the secure EPT. [ABI-H 3.8]
//!
//! RDX bit 0 asks for the attributes that nested guests of a debug TD have for the range,
//! in R8: there are no nested guests, so zero.
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::attributes::Attributes;
use abi::{Operand, Regs, Status};

use super::{Leaf, td_operand};
use crate::machine::Machine;
use crate::module::Module;
use crate::sept::Target;
use crate::td::tdcs::OpState;

/// RDX: read the attributes of nested guests.
const READ_L2_ATTRIBUTES: u64 = 1;

pub(crate) fn run(module: &Module, m: &dyn Machine, regs: &mut Regs) -> Leaf {
    let (gpa_and_level, td_and_flags) = (regs.rcx, regs.rdx);
    (regs.rcx, regs.rdx) = (0, 0);
    let tdr_pa = td_and_flags & !READ_L2_ATTRIBUTES;
    let reads_attributes = td_and_flags & READ_L2_ATTRIBUTES != 0;
    let td = td_operand(module, m, tdr_pa, Operand::Rdx, OpState::BUILT)?;
    if reads_attributes && td.tdcs.attributes & Attributes::DEBUG.bits() == 0 {
        return Err(Status::OPERAND_INVALID.with_operand(Operand::Rdx));
    }
    let levels = (0, td.tdcs.root_level());
    let (_, walk) = Target::find(m, &td, gpa_and_level, levels, regs)?;
    if reads_attributes {
        regs.r8 = 0;
    }
    walk.report(regs);
    Ok(())
}
