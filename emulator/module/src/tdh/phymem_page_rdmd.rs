//! TDH.PHYMEM.PAGE.RDMD: reads the metadata of a page. [ABI-H 3.9]
//!
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::Regs;

use super::Leaf;
use super::phymem_page_reclaim::{look_up, report};
use crate::machine::Machine;
use crate::module::Module;
use crate::pamt::PageType;

pub(crate) fn run(module: &Module, m: &dyn Machine, regs: &mut Regs) -> Leaf {
    let page = regs.rcx;
    let slot = look_up(module, m, page, regs)?;
    report(&slot, regs);
    if matches!(slot.page_type(), PageType::REG | PageType::EPT) {
        regs.r9 = slot.bepoch();
    }
    Ok(())
}
