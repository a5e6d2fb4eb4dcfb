//! TDH.MEM.RANGE.UNBLOCK: a blocked range is usable again. [ABI-H 3.8]
//!
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::{Operand, Regs, Status};

use super::{Leaf, td_operand};
use crate::machine::Machine;
use crate::module::Module;
use crate::sept::{Entry, SeptState, Target};
use crate::td::tdcs::OpState;

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let (gpa_and_level, tdr_pa) = (regs.rcx, regs.rdx);
    (regs.rcx, regs.rdx) = (0, 0);
    let td = td_operand(module, m, tdr_pa, Operand::Rdx, OpState::BUILT)?;
    let levels = (0, td.tdcs.root_level());
    let (_, walk) = Target::find(m, &td, gpa_and_level, levels, regs)?;
    if !walk.state().is_blocked() {
        walk.report(regs);
        return Err(Status::EPT_ENTRY_STATE_INCORRECT.with_operand(Operand::Rcx));
    }
    let is_tracked = |slot: crate::pamt::Slot| td.tdcs.is_tlb_tracked(slot.bepoch());
    if td.tdcs.needs_tracking() && !module.page_slot(m, &walk).is_some_and(is_tracked) {
        return Err(Status::TLB_TRACKING_NOT_DONE.with_operand(Operand::SeptTree));
    }
    let page = walk.entry.page();
    let unblocked = match walk.state().unblocked() {
        SeptState::NlMapped => Entry::non_leaf(page),
        state => Entry::leaf(page, state),
    };
    walk.set(m, unblocked);
    Ok(())
}
