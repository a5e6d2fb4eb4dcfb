//! TDH.PHYMEM.PAGE.WBINVD: writes back the lines of a page that was private.
//! [ABI-H 3.9]
//!
//! RCX carries the HKID with which the lines were written. There are no caches with
//! keys here: only the checks remain.
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::{Operand, Regs};

use super::Leaf;
use crate::hpa::without_hkid;
use crate::machine::Machine;
use crate::module::Module;
use crate::pamt::PageType;
use crate::sys::MAX_PA_BITS;

pub(crate) fn run(module: &Module, m: &dyn Machine, regs: &mut Regs) -> Leaf {
    // Bits above the physical address width stay and fail the check below.
    let above = regs.rcx >> MAX_PA_BITS << MAX_PA_BITS;
    let page = without_hkid(regs.rcx) | above;
    module.private_page(m, page, Operand::Rcx, PageType::NDA)?;
    Ok(())
}
