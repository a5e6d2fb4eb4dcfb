//! TDH.MEM.SEPT.RD: reads an entry of the secure EPT. [ABI-H 3.8]

use abi::{Operand, Regs};

use super::{Leaf, td_operand};
use crate::machine::Machine;
use crate::module::Module;
use crate::sept::Target;
use crate::td::tdcs::OpState;

pub(crate) fn run(module: &Module, m: &dyn Machine, regs: &mut Regs) -> Leaf {
    let (gpa_and_level, tdr_pa) = (regs.rcx, regs.rdx);
    (regs.rcx, regs.rdx) = (0, 0);
    let td = td_operand(module, m, tdr_pa, Operand::Rdx, OpState::BUILT)?;
    let levels = (0, td.tdcs.root_level());
    let (_, walk) = Target::find(m, &td, gpa_and_level, levels, regs)?;
    walk.report(regs);
    Ok(())
}
