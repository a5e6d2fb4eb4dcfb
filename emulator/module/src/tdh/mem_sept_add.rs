//! TDH.MEM.SEPT.ADD: a page for the secure EPT. [ABI-H 3.7]
//!
//! Version 1 gives R8-R11 back on success and on failure: without bit 63, or with it for
//! a page that an entry does not need any more, or all ones for a page that was taken.
//! Of itself never OPERAND_BUSY or INTERRUPTED_RESUMABLE: nobody else holds a lock, and
//! there are no nested guests.

use abi::{Operand, Regs, Status};

use super::{Leaf, donate, td_operand};
use crate::machine::Machine;
use crate::module::Module;
use crate::pamt::{PageType, Slot};
use crate::phys::fill_page;
use crate::sept::{Entry, SeptState, Target, Walk};
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
    let (gpa_and_level, td_and_flags) = (regs.rcx, regs.rdx);
    (regs.rcx, regs.rdx) = (0, 0);
    if version > 1 {
        return Err(Status::OPERAND_INVALID.with_operand(Operand::Rax));
    }
    let pages = [regs.r8, regs.r9, regs.r10, regs.r11]
        .map(|page| if page == NULL_PA { page } else { page & !UNUSED });
    if version > 0 {
        [regs.r8, regs.r9, regs.r10, regs.r11] = pages;
    }
    if td_and_flags & !(TDR | ALLOW_EXISTING) != 0 {
        return Err(Status::OPERAND_INVALID.with_operand(Operand::Rdx));
    }
    let tdr_pa = td_and_flags & TDR;
    let td = td_operand(module, m, tdr_pa, Operand::Rdx, OpState::BUILT)?;
    let levels = (1, td.tdcs.root_level());
    let (_, walk) = Target::find(m, &td, gpa_and_level, levels, regs)?;
    let is_used = check_page(&walk, pages[0], version, td_and_flags, regs)?;
    let slot = if is_used {
        Some(module.private_page(m, pages[0], Operand::R8, PageType::NDA)?)
    } else {
        None
    };
    if version > 0 {
        if !is_used {
            regs.r8 |= UNUSED;
        }
        check_no_nested_pages(pages)?;
    }
    if let Some(slot) = slot {
        link(m, &walk, &slot, pages[0], tdr_pa);
        if version > 0 {
            regs.r8 = NULL_PA;
        }
    }
    Ok(())
}

/// Whether the page of R8 is needed: the entry is free and there is a page, or it is a
/// table already and there need be none.
fn check_page(
    walk: &Walk,
    page: u64,
    version: u8,
    td_and_flags: u64,
    regs: &mut Regs,
) -> Result<bool, Status> {
    let state_incorrect = Status::EPT_ENTRY_STATE_INCORRECT.with_operand(Operand::Rcx);
    let answer = match (walk.state(), page) {
        (SeptState::Free | SeptState::NlMapped, NULL_PA) if version == 0 => {
            return Err(Status::OPERAND_INVALID.with_operand(Operand::R8));
        }
        (SeptState::NlMapped, NULL_PA) => Ok(false),
        (SeptState::NlMapped, _) if td_and_flags & ALLOW_EXISTING != 0 => Ok(false),
        (SeptState::Free, page) if page != NULL_PA => Ok(true),
        _ => Err(state_incorrect),
    };
    if answer.is_err() {
        walk.report(regs);
    }
    answer
}

/// Pages for nested guests; there are none.
fn check_no_nested_pages(pages: [u64; 4]) -> Leaf {
    let operands = [Operand::R8, Operand::R9, Operand::R10, Operand::R11];
    let mut nested = pages.into_iter().zip(operands).skip(1);
    match nested.find(|(page, _)| *page != NULL_PA) {
        Some((_, operand)) => Err(Status::OPERAND_INVALID.with_operand(operand)),
        None => Ok(()),
    }
}

fn link(m: &mut dyn Machine, walk: &Walk, slot: &Slot, page: u64, tdr_pa: u64) {
    donate(m, slot, page, PageType::EPT, tdr_pa);
    fill_page(m, page, Entry::FREE.0);
    walk.set(m, Entry::non_leaf(page));
}
