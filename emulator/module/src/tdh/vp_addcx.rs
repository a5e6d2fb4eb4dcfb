//! TDH.VP.ADDCX: a page for a vCPU's control structure. [ABI-H 3.6]
//!
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::{Operand, Regs, Status};

use super::vp_create::check_uninitialized;
use super::{Leaf, donate, vcpu_operand};
use crate::machine::Machine;
use crate::module::Module;
use crate::pamt::PageType;
use crate::phys::PAGE;
use crate::td::Td;
use crate::td::tdcs::OpState;

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let (page, tdvpr) = (regs.rcx, regs.rdx);
    let (mut tdvps, tdr_pa) = vcpu_operand(module, m, tdvpr, Operand::Rdx)?;
    Td::load_in(m, tdr_pa, &[OpState::Initialized])?;
    check_uninitialized(&tdvps)?;
    let number = tdvps.num_pages as usize;
    if number >= tdvps.pages.len() {
        return Err(Status::TDCX_NUM_INCORRECT);
    }
    let slot = module.private_page(m, page, Operand::Rcx, PageType::NDA)?;
    donate(m, &slot, page, PageType::TDCX, tdr_pa);
    m.zero(page, PAGE);
    tdvps.pages[number] = page;
    tdvps.num_pages += 1;
    tdvps.store(m, tdvpr);
    Ok(())
}
