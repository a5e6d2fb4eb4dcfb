//! TDH.MEM.SEPT.REMOVE: takes an empty page out of the secure EPT. [ABI-H 3.8]
//!
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::{Operand, Regs, Status};

use super::mem_page_remove::check_tracked;
use super::{Leaf, take_back, td_operand};
use crate::machine::Machine;
use crate::module::Module;
use crate::sept::{Entry, SeptState, Target};
use crate::td::tdcs::OpState;

/// R9-R11 of version 1: no page of a nested guest.
const NULL_PA: u64 = u64::MAX;

pub(crate) fn run(module: &Module, m: &mut dyn Machine, version: u8, regs: &mut Regs) -> Leaf {
    let (gpa_and_level, tdr_pa) = (regs.rcx, regs.rdx);
    (regs.rcx, regs.rdx) = (0, 0);
    if version > 0 {
        (regs.r9, regs.r10, regs.r11) = (NULL_PA, NULL_PA, NULL_PA);
    }
    if version > 1 {
        return Err(Status::OPERAND_INVALID.with_operand(Operand::Rax));
    }
    let td = td_operand(module, m, tdr_pa, Operand::Rdx, OpState::BUILT)?;
    let levels = (1, td.tdcs.root_level());
    let (_, walk) = Target::find(m, &td, gpa_and_level, levels, regs)?;
    let state_incorrect = Status::EPT_ENTRY_STATE_INCORRECT.with_operand(Operand::Rcx);
    if !matches!(walk.state(), SeptState::NlMapped | SeptState::NlBlocked) {
        walk.report(regs);
        return Err(state_incorrect);
    }
    let slot = module.page_slot(m, &walk).ok_or(state_incorrect)?;
    check_tracked(&td, &walk, &slot, regs)?;
    let page = walk.entry.page();
    let is_empty =
        (0..512).all(|index| Entry(m.read_u64(page + index * 8)).state() == SeptState::Free);
    if !is_empty {
        walk.report(regs);
        return Err(Status::EPT_PAGE_NOT_FREE.with_operand(Operand::Rcx));
    }
    walk.set(m, Entry::FREE);
    m.flush_td(tdr_pa);
    take_back(m, &slot, page, tdr_pa);
    regs.rcx = page;
    Ok(())
}
