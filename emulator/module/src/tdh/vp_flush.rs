//! TDH.VP.FLUSH: takes a vCPU off its logical processor. [ABI-H 3.9]
//!
//! Works on a fatal TD too: neither fatality nor op_state is checked.
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::{Operand, Regs, Status};

use super::{Leaf, check_vcpu_pages, vcpu_operand};
use crate::machine::Machine;
use crate::module::Module;
use crate::td::Td;
use crate::td::tdr::Lifecycle;
use crate::td::tdvps::NO_LP;

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let tdvpr = regs.rcx;
    let (mut tdvps, tdr_pa) = vcpu_operand(module, m, tdvpr, Operand::Rcx)?;
    let mut td = Td::load(m, tdr_pa);
    if td.tdr.lifecycle() != Lifecycle::KeysConfigured {
        return Err(Status::TD_KEYS_NOT_CONFIGURED);
    }
    check_vcpu_pages(&tdvps)?;
    if !tdvps.is_associated() {
        return Err(Status::VCPU_NOT_ASSOCIATED);
    }
    tdvps.assoc_lpid = NO_LP;
    td.tdcs.num_assoc_vcpus = td.tdcs.num_assoc_vcpus.saturating_sub(1);
    tdvps.store(m, tdvpr);
    td.store_tdcs(m);
    m.flush_td(tdr_pa);
    Ok(())
}
