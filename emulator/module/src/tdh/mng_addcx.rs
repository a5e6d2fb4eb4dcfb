//! TDH.MNG.ADDCX: a page for the TD's control structure. [ABI-H 3.6]
//!
//! Of itself never OPERAND_BUSY or RND_NO_ENTROPY: nobody else holds a lock, and random
//! numbers come from a seed.

use abi::{Operand, Regs, Status};

use super::{Leaf, donate};
use crate::machine::Machine;
use crate::module::Module;
use crate::pamt::PageType;
use crate::phys::{fill_page, store};
use crate::sept;
use crate::sys::{TDCS_PAGES, TDCS_PAGES_MAX};
use crate::td::Td;
use crate::td::tdcs::{MSR_BITMAP, OpState, SEPT_ROOT};

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let (page, tdr_pa) = (regs.rcx, regs.rdx);
    module.private_page(m, tdr_pa, Operand::Rdx, PageType::TDR)?;
    let number = Td::load_with_keys(m, tdr_pa)?.num_tdcx;
    if number >= TDCS_PAGES_MAX {
        return Err(Status::TDCX_NUM_INCORRECT);
    }
    let slot = module.private_page(m, page, Operand::Rcx, PageType::NDA)?;
    let is_surplus = number >= TDCS_PAGES;
    if is_surplus && Td::load(m, tdr_pa).tdcs.op_state != OpState::Uninitialized as u32 {
        return Err(Status::OP_STATE_INCORRECT);
    }
    donate(m, &slot, page, PageType::TDCX, tdr_pa);
    let fill = match number {
        MSR_BITMAP => u64::MAX,
        root if root as usize == SEPT_ROOT => sept::Entry::FREE.0,
        _ => 0,
    };
    fill_page(m, page, fill);
    let mut tdr = Td::load_with_keys(m, tdr_pa)?;
    tdr.tdcx_pa[number as usize] = page;
    tdr.num_tdcx = number + 1;
    store(m, tdr_pa, &tdr);
    Ok(())
}
