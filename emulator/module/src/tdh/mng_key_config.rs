//! TDH.MNG.KEY.CONFIG: the TD's key is set on the one package. [ABI-H 3.6]
//!
//! With one package a second call finds the lifecycle moved on; KEY_CONFIGURED needs
//! several packages.
//! Of itself never OPERAND_BUSY or KEY_GENERATION_FAILED: there is no engine to ask.

use abi::{Operand, Regs, Status};

use super::Leaf;
use crate::machine::Machine;
use crate::module::Module;
use crate::pamt::PageType;
use crate::phys::{load, store};
use crate::td::tdr::{Lifecycle, Tdr};

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let tdr_pa = regs.rcx;
    module.private_page(m, tdr_pa, Operand::Rcx, PageType::TDR)?;
    let mut tdr: Tdr = load(m, tdr_pa);
    if tdr.fatal != 0 {
        return Err(Status::TD_FATAL);
    }
    if tdr.lifecycle() != Lifecycle::HkidAssigned {
        return Err(Status::LIFECYCLE_STATE_INCORRECT);
    }
    tdr.set_lifecycle(Lifecycle::KeysConfigured);
    store(m, tdr_pa, &tdr);
    Ok(())
}
