//! TDH.MEM.PAGE.RELOCATE: a page of the TD moves to another place. [ABI-H 3.8]
//!
//! The content of a page that the TD has not accepted is not copied: nobody can read it.
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::{Operand, Regs, Status};

use super::mem_page_remove::check_tracked;
use super::{Leaf, donate, take_back, td_operand};
use crate::machine::Machine;
use crate::module::Module;
use crate::pamt::PageType;
use crate::phys::copy_page;
use crate::sept::{Entry, SeptState, Target};
use crate::sys::MAX_PA_BITS;
use crate::td::tdcs::OpState;

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let (gpa_and_level, tdr_pa, page) = (regs.rcx, regs.rdx, regs.r8);
    (regs.rcx, regs.rdx) = (0, 0);
    let td = td_operand(module, m, tdr_pa, Operand::Rdx, OpState::BUILT)?;
    let (_, walk) = Target::find(m, &td, gpa_and_level, (0, 0), regs)?;
    let state_incorrect = Status::EPT_ENTRY_STATE_INCORRECT.with_operand(Operand::Rcx);
    if !walk.state().is_leaf() {
        walk.report(regs);
        return Err(state_incorrect);
    }
    let source_pa = walk.entry.page();
    if page & ((1 << MAX_PA_BITS) - 1) == source_pa {
        return Err(Status::OPERAND_INVALID.with_operand(Operand::R8));
    }
    let source = module.page_slot(m, &walk).ok_or(state_incorrect)?;
    check_tracked(&td, &walk, &source, regs)?;
    let slot = module.private_page(m, page, Operand::R8, PageType::NDA)?;

    let state = walk.state().unblocked();
    donate(m, &slot, page, PageType::REG, tdr_pa);
    if state == SeptState::Mapped {
        copy_page(m, source_pa, page);
    }
    walk.set(m, Entry::leaf(page, state));
    m.flush_td(tdr_pa);
    take_back(m, &source, source_pa, tdr_pa);
    regs.rcx = source_pa;
    Ok(())
}
