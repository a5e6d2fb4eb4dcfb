//! TDH.PHYMEM.PAGE.RECLAIM: a page of a TD that is gone is the VMM's again.
//! [ABI-H 3.9]
//!
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::{Operand, Regs, Status};

use super::{Leaf, take_back};
use crate::hpa::is_plain;
use crate::machine::Machine;
use crate::module::Module;
use crate::pamt::{PageType, Slot};
use crate::phys::{PAGE, load};
use crate::td::tdr::{Lifecycle, Tdr};

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let page = regs.rcx;
    let slot = look_up(module, m, page, regs)?;
    let kind = slot.page_type();
    if !kind.is_owned() {
        return Err(Status::PAGE_METADATA_INCORRECT.with_operand(Operand::Rcx));
    }
    report(&slot, regs);
    if !page.is_multiple_of(slot.pages() * PAGE) {
        return Err(Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    }
    let is_root = kind == PageType::TDR;
    let owner = if is_root { page } else { slot.owner() };
    let tdr: Tdr = load(m, owner);
    if tdr.lifecycle() != Lifecycle::Teardown {
        return Err(Status::LIFECYCLE_STATE_INCORRECT);
    }
    if !is_root {
        take_back(m, &slot, page, owner);
        return Ok(());
    }
    if tdr.chldcnt != 0 {
        return Err(Status::TD_ASSOCIATED_PAGES_EXIST);
    }
    m.zero(page, PAGE);
    slot.free(m);
    m.show_to_vmm(page, PAGE);
    Ok(())
}

/// Finds the PAMT entry and clears the outputs that RDMD shares.
pub(super) fn look_up(
    module: &Module,
    m: &dyn Machine,
    page: u64,
    regs: &mut Regs,
) -> Result<Slot, Status> {
    (regs.rcx, regs.rdx, regs.r8) = (0, 0, 0);
    (regs.r9, regs.r10, regs.r11) = (0, 0, 0);
    if !is_plain(page, PAGE) {
        return Err(Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    }
    let range_error = Status::OPERAND_ADDR_RANGE_ERROR.with_operand(Operand::Rcx);
    module.pamt_walk(m, page).ok_or(range_error)
}

/// Type, owner and size of the page.
pub(super) fn report(slot: &Slot, regs: &mut Regs) {
    regs.rcx = u64::from(slot.page_type().0);
    regs.rdx = slot.owner();
    regs.r8 = u64::from(slot.level);
}
