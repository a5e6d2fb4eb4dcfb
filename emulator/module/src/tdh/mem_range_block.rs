//! TDH.MEM.RANGE.BLOCK: no new translation of a range. [ABI-H 3.8]
//!
//! Hardware leaves stale translations in the TLBs until TRACK; dropping them at once
//! is allowed and shows nobody anything else.
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::{Operand, Regs, Status};

use super::{Leaf, td_operand};
use crate::machine::Machine;
use crate::module::Module;
use crate::sept::Target;
use crate::td::tdcs::OpState;

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let (gpa_and_level, tdr_pa) = (regs.rcx, regs.rdx);
    (regs.rcx, regs.rdx) = (0, 0);
    let td = td_operand(module, m, tdr_pa, Operand::Rdx, OpState::BUILT)?;
    let levels = (0, td.tdcs.root_level());
    let (_, walk) = Target::find(m, &td, gpa_and_level, levels, regs)?;
    let Some(blocked) = walk.state().blocked() else {
        walk.report(regs);
        let status = if walk.state().is_blocked() {
            Status::GPA_RANGE_ALREADY_BLOCKED
        } else {
            Status::EPT_ENTRY_STATE_INCORRECT
        };
        return Err(status.with_operand(Operand::Rcx));
    };
    walk.set(m, walk.entry.block(blocked));
    if let Some(slot) = module.page_slot(m, &walk) {
        slot.set_bepoch(m, td.tdcs.td_epoch);
    }
    m.flush_td(tdr_pa);
    Ok(())
}
