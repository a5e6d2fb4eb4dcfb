//! TDH.MEM.PAGE.ADD: a page with content, before the TD is finalized. [ABI-H 3.7]
//!
//! The content is not measured, only the address: MR.EXTEND measures content.
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::{Operand, Regs, Status};

use super::{Leaf, donate, td_operand};
use crate::machine::Machine;
use crate::module::Module;
use crate::pamt::PageType;
use crate::phys::{PAGE, copy_page};
use crate::sept::{Entry, SeptState, Target};
use crate::td::tdcs::OpState;

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let (gpa_and_level, tdr_pa, page, source) = (regs.rcx, regs.rdx, regs.r8, regs.r9);
    (regs.rcx, regs.rdx) = (0, 0);
    let mut td = td_operand(module, m, tdr_pa, Operand::Rdx, &[OpState::Initialized])?;
    let (target, walk) = Target::find(m, &td, gpa_and_level, (0, 0), regs)?;
    if walk.state() != SeptState::Free {
        walk.report(regs);
        return Err(Status::EPT_ENTRY_STATE_INCORRECT.with_operand(Operand::Rcx));
    }
    // The source is checked before the target, and they may be one page.
    let source = module.shared_buffer(m, source, PAGE, Operand::R9)?;
    let slot = module.private_page(m, page, Operand::R8, PageType::NDA)?;
    copy_page(m, source, page);
    donate(m, &slot, page, PageType::REG, tdr_pa);
    walk.set(m, Entry::leaf(page, SeptState::Mapped));
    td.tdcs.measurement.page_add(target.gpa);
    td.store_tdcs(m);
    Ok(())
}
