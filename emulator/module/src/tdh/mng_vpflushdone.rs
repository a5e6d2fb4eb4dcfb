//! TDH.MNG.VPFLUSHDONE: no vCPU is on any processor; the key is on its way out.
//! [ABI-H 3.9]
//!
//! Legal from HKID_ASSIGNED on, so a half-built TD can be torn down.
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::{Operand, Regs, Status};

use super::Leaf;
use crate::machine::Machine;
use crate::module::Module;
use crate::pamt::PageType;
use crate::phys::store;
use crate::sys::TDCS_PAGES;
use crate::td::Td;
use crate::td::tdcs::OpState;
use crate::td::tdr::Lifecycle;

pub(crate) fn run(module: &mut Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let tdr_pa = regs.rcx;
    module.private_page(m, tdr_pa, Operand::Rcx, PageType::TDR)?;
    let Td { mut tdr, tdcs, .. } = Td::load(m, tdr_pa);
    if !matches!(tdr.lifecycle(), Lifecycle::HkidAssigned | Lifecycle::KeysConfigured) {
        return Err(Status::LIFECYCLE_STATE_INCORRECT);
    }
    let is_initialized =
        tdr.num_tdcx >= TDCS_PAGES && tdcs.op_state != OpState::Uninitialized as u32;
    if is_initialized && tdcs.num_assoc_vcpus != 0 {
        return Err(Status::FLUSHVP_NOT_DONE);
    }
    tdr.set_lifecycle(Lifecycle::Blocked);
    store(m, tdr_pa, &tdr);
    module.kot.set_flushed(tdr.hkid as u16);
    Ok(())
}
