//! TDH.VP.CREATE: a vCPU's root page. [ABI-H 3.6]
//!
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::{Operand, Regs, Status};
use zerocopy::FromZeros;

use super::{Leaf, donate, td_operand};
use crate::machine::Machine;
use crate::module::Module;
use crate::pamt::PageType;
use crate::phys::{PAGE, store};
use crate::td::tdcs::OpState;
use crate::td::tdvps::{NO_LP, Tdvps};

/// A notification vector that no interrupt has: not set yet. [ABI-G 14]
const NO_VECTOR: u16 = u16::MAX;

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let (page, tdr_pa) = (regs.rcx, regs.rdx);
    td_operand(module, m, tdr_pa, Operand::Rdx, &[OpState::Initialized])?;
    let slot = module.private_page(m, page, Operand::Rcx, PageType::NDA)?;
    donate(m, &slot, page, PageType::TDVPR, tdr_pa);
    m.zero(page, PAGE);
    let mut tdvps = Tdvps::new_zeroed();
    tdvps.pages[0] = page;
    tdvps.num_pages = 1;
    tdvps.assoc_lpid = NO_LP;
    tdvps.posted_vector = NO_VECTOR;
    // Of VM 0 alone: there is no other. [ABI-G 12]
    tdvps.tsc_deadline[0] = u64::MAX;
    store(m, page, &tdvps);
    Ok(())
}

/// Used by the leaves that need the vCPU unborn.
pub(super) fn check_uninitialized(tdvps: &Tdvps) -> Leaf {
    use crate::td::tdvps::VcpuState;
    if tdvps.is_in(VcpuState::Uninitialized) { Ok(()) } else { Err(Status::VCPU_STATE_INCORRECT) }
}
