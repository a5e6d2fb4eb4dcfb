//! TDH.MNG.KEY.FREEID: the HKID is free again. [ABI-H 3.9]
//!
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::{Operand, Regs, Status};

use super::Leaf;
use crate::kot::KotState;
use crate::machine::Machine;
use crate::module::Module;
use crate::pamt::PageType;
use crate::phys::{load, store};
use crate::td::tdr::{Lifecycle, Tdr};

pub(crate) fn run(module: &mut Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let tdr_pa = regs.rcx;
    module.private_page(m, tdr_pa, Operand::Rcx, PageType::TDR)?;
    let mut tdr: Tdr = load(m, tdr_pa);
    if tdr.lifecycle() != Lifecycle::Blocked {
        return Err(Status::LIFECYCLE_STATE_INCORRECT);
    }
    let hkid = tdr.hkid as u16;
    if module.kot.awaits_write_back(hkid) {
        return Err(Status::WBCACHE_NOT_COMPLETE);
    }
    tdr.set_lifecycle(Lifecycle::Teardown);
    store(m, tdr_pa, &tdr);
    module.kot.set(hkid, KotState::Free);
    Ok(())
}
