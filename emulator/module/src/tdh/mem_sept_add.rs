//! TDH.MEM.SEPT.ADD: a page for the secure EPT. [ABI-H 3.7]

use abi::{Operand, Regs, Status};

use super::{Leaf, donate, td_operand};
use crate::machine::Machine;
use crate::module::Module;
use crate::pamt::PageType;
use crate::phys::fill_page;
use crate::sept::{Entry, SeptState, Target};
use crate::td::tdcs::OpState;

/// RDX: the TDR.
const TDR: u64 = 0x000F_FFFF_FFFF_F000;
/// RDX: an entry that is not free is not an error.
const ALLOW_EXISTING: u64 = 1;
/// R8-R11: no page.
const NULL_PA: u64 = u64::MAX;
/// R8-R11: on output, the page was not used; on input, ignored.
const UNUSED: u64 = 1 << 63;

pub(crate) fn run(module: &Module, m: &mut dyn Machine, version: u8, regs: &mut Regs) -> Leaf {
    let pages = [regs.r8, regs.r9, regs.r10, regs.r11];
    let (gpa_and_level, td_and_flags) = (regs.rcx, regs.rdx);
    (regs.rcx, regs.rdx) = (0, 0);
    if version > 1 {
        return Err(Status::OPERAND_INVALID.with_operand(Operand::Rax));
    }
    if td_and_flags & !(TDR | ALLOW_EXISTING) != 0 {
        return Err(Status::OPERAND_INVALID.with_operand(Operand::Rdx));
    }
    let tdr_pa = td_and_flags & TDR;
    let td = td_operand(module, m, tdr_pa, Operand::Rdx, OpState::BUILT)?;
    let levels = (1, td.tdcs.root_level());
    let (_, walk) = Target::find(m, &td, gpa_and_level, levels, regs)?;
    let state_incorrect = Status::EPT_ENTRY_STATE_INCORRECT.with_operand(Operand::Rcx);
    // A page without bit 63, unless there is none.
    let page = if pages[0] == NULL_PA { NULL_PA } else { pages[0] & !UNUSED };
    let is_free = walk.state() == SeptState::Free;
    if page == NULL_PA && version == 0 {
        return Err(Status::OPERAND_INVALID.with_operand(Operand::R8));
    }
    let is_legal = match (page == NULL_PA, is_free) {
        (true, _) => walk.state() == SeptState::NlMapped,
        (false, true) => true,
        (false, false) => td_and_flags & ALLOW_EXISTING != 0,
    };
    if !is_legal {
        walk.report(regs);
        return Err(state_incorrect);
    }
    check_no_nested_pages(version, pages)?;
    let is_used = page != NULL_PA && is_free;
    if is_used {
        let slot = module.private_page(m, page, Operand::R8, PageType::NDA)?;
        donate(m, &slot, page, PageType::EPT, tdr_pa);
        fill_page(m, page, Entry::FREE.0);
        walk.set(m, Entry::non_leaf(page));
    }
    if version > 0 {
        regs.r8 = if is_used { NULL_PA } else { page | UNUSED };
        (regs.r9, regs.r10, regs.r11) = (NULL_PA, NULL_PA, NULL_PA);
    }
    Ok(())
}

/// Version 1 can bring pages for nested guests; there are none.
fn check_no_nested_pages(version: u8, pages: [u64; 4]) -> Leaf {
    let operands = [Operand::R8, Operand::R9, Operand::R10, Operand::R11];
    let nested = pages.iter().zip(operands).skip(1);
    match nested.filter(|_| version > 0).find(|(page, _)| **page != NULL_PA) {
        Some((_, operand)) => Err(Status::OPERAND_INVALID.with_operand(operand)),
        None => Ok(()),
    }
}
