//! TDH.MEM.PAGE.REMOVE: takes a page from the TD. [ABI-H 3.8]
//!
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::{Operand, Regs, Status};

use super::{Leaf, take_back, td_operand};
use crate::machine::Machine;
use crate::module::Module;
use crate::pamt::Slot;
use crate::sept::{Entry, Target, Walk};
use crate::td::Td;
use crate::td::tdcs::OpState;

/// 4 KiB to 1 GiB.
const LEVELS: (u8, u8) = (0, 2);

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let (gpa_and_level, tdr_pa) = (regs.rcx, regs.rdx);
    (regs.rcx, regs.rdx) = (0, 0);
    let td = td_operand(module, m, tdr_pa, Operand::Rdx, OpState::BUILT)?;
    let (_, walk) = Target::find(m, &td, gpa_and_level, LEVELS, regs)?;
    let state_incorrect = Status::EPT_ENTRY_STATE_INCORRECT.with_operand(Operand::Rcx);
    if !walk.state().is_leaf() {
        walk.report(regs);
        return Err(state_incorrect);
    }
    let slot = module.page_slot(m, &walk).ok_or(state_incorrect)?;
    check_tracked(&td, &walk, &slot, regs)?;
    walk.set(m, Entry::FREE);
    m.flush_td(tdr_pa);
    take_back(m, &slot, walk.entry.page(), tdr_pa);
    regs.rcx = walk.entry.page();
    Ok(())
}

/// While the TD may run, what is removed must be blocked and out of every TLB.
pub(super) fn check_tracked(td: &Td, walk: &Walk, slot: &Slot, regs: &mut Regs) -> Leaf {
    if !td.tdcs.needs_tracking() {
        return Ok(());
    }
    if !walk.state().is_blocked() {
        walk.report(regs);
        return Err(Status::GPA_RANGE_NOT_BLOCKED.with_operand(Operand::Rcx));
    }
    if !td.tdcs.is_tlb_tracked(slot.bepoch()) {
        return Err(Status::TLB_TRACKING_NOT_DONE.with_operand(Operand::Rcx));
    }
    Ok(())
}

impl Module {
    /// The PAMT entry of the page that an entry holds: of the mapping's size, or of
    /// the secure EPT page that a non-leaf points to.
    pub(super) fn page_slot(&self, m: &dyn Machine, walk: &Walk) -> Option<Slot> {
        let level = if walk.state().is_leaf() { walk.level } else { 0 };
        self.pamt_slot(m, walk.entry.page(), level)
    }
}
