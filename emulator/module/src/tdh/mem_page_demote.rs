//! TDH.MEM.PAGE.DEMOTE: one large page becomes 512 smaller ones. [ABI-H 3.8]
//!
//! R9-R11 are pages for nested guests: there are none, so they come back as they were.
//! Of itself never OPERAND_BUSY or INTERRUPTED_RESTARTABLE: nobody else holds a lock, and
//! no interrupt is waited for.

use abi::{Operand, Regs, Status};

use super::mem_page_remove::check_tracked;
use super::{Leaf, add_children, td_operand};
use crate::machine::Machine;
use crate::module::Module;
use crate::pamt::PageType;
use crate::phys::PAGE;
use crate::sept::{Entry, Target, size_of_level};
use crate::td::tdcs::OpState;

/// 2 MiB and 1 GiB.
const LEVELS: (u8, u8) = (1, 2);
/// RDX: the TDR.
const TDR: u64 = 0x000F_FFFF_FFFF_F000;
/// RDX: pages for nested guests are added only where one has an alias of the page.
const SPARSE: u64 = 1;

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let (gpa_and_level, td_and_flags, page) = (regs.rcx, regs.rdx, regs.r8);
    (regs.rcx, regs.rdx) = (0, 0);
    if td_and_flags & !(TDR | SPARSE) != 0 {
        return Err(Status::OPERAND_INVALID.with_operand(Operand::Rdx));
    }
    let tdr_pa = td_and_flags & TDR;
    let td = td_operand(module, m, tdr_pa, Operand::Rdx, OpState::BUILT)?;
    let (target, walk) = Target::find(m, &td, gpa_and_level, LEVELS, regs)?;
    let state_incorrect = Status::EPT_ENTRY_STATE_INCORRECT.with_operand(Operand::Rcx);
    if !walk.state().is_leaf() {
        walk.report(regs);
        return Err(state_incorrect);
    }
    let large = module.page_slot(m, &walk).ok_or(state_incorrect)?;
    check_tracked(&td, &walk, &large, regs)?;
    let table = module.private_page(m, page, Operand::R8, PageType::NDA)?;

    m.hide_from_vmm(page, PAGE);
    table.inherit(m, PageType::EPT, tdr_pa);
    add_children(m, tdr_pa, 1);
    let step = size_of_level(target.level - 1);
    for index in 0..512 {
        let small = walk.entry.page() + index * step;
        let entry = Entry::leaf(small, walk.state().unblocked());
        m.write_u64(page + index * 8, entry.0);
    }
    module.pamt_split(m, walk.entry.page(), target.level);
    walk.set(m, Entry::non_leaf(page));
    m.flush_td(tdr_pa);
    Ok(())
}
