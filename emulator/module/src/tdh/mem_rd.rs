//! TDH.MEM.RD: the VMM reads 8 bytes of a debug TD. [ABI-H 3.8]
//!
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::attributes::Attributes;
use abi::{Operand, Regs, Status};

use super::{Leaf, td_operand};
use crate::machine::Machine;
use crate::module::Module;
use crate::sept::mapped_byte;
use crate::td::tdcs::OpState;

pub(crate) fn run(module: &Module, m: &dyn Machine, regs: &mut Regs) -> Leaf {
    let at = locate(module, m, regs)?;
    regs.r8 = m.read_u64(at);
    Ok(())
}

/// Checks the operands that RD and WR share and gives the place of the data. RCX, RDX and
/// R8 are cleared first.
pub(super) fn locate(module: &Module, m: &dyn Machine, regs: &mut Regs) -> Result<u64, Status> {
    let (gpa, tdr_pa) = (regs.rcx, regs.rdx);
    (regs.rcx, regs.rdx, regs.r8) = (0, 0, 0);
    let td = td_operand(module, m, tdr_pa, Operand::Rdx, OpState::BUILT)?;
    if td.tdcs.attributes & Attributes::DEBUG.bits() == 0 {
        return Err(Status::TD_NON_DEBUG);
    }
    mapped_byte(m, &td, gpa, size_of::<u64>() as u64, regs)
}
