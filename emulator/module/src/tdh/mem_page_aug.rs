//! TDH.MEM.PAGE.AUG: a page that the guest has to accept. [ABI-H 3.7]
//!
//! The content stays until TDG.MEM.PAGE.ACCEPT clears it; nobody can read it.
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::{Operand, Regs, Status};

use super::{Leaf, donate, td_operand};
use crate::machine::Machine;
use crate::module::Module;
use crate::pamt::PageType;
use crate::sept::{Entry, SeptState, Target};
use crate::td::tdcs::OpState;

/// 4 KiB and 2 MiB.
const LEVELS: (u8, u8) = (0, 1);

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let (gpa_and_level, tdr_pa, page) = (regs.rcx, regs.rdx, regs.r8);
    (regs.rcx, regs.rdx) = (0, 0);
    let td = td_operand(module, m, tdr_pa, Operand::Rdx, OpState::BUILT)?;
    let (target, walk) = Target::find(m, &td, gpa_and_level, LEVELS, regs)?;
    if walk.state() != SeptState::Free {
        walk.report(regs);
        return Err(Status::EPT_ENTRY_STATE_INCORRECT.with_operand(Operand::Rcx));
    }
    let slot = module.free_range(m, page, Operand::R8, target.level)?;
    donate(m, &slot, page, PageType::REG, tdr_pa);
    walk.set(m, Entry::leaf(page, SeptState::Pending));
    Ok(())
}
