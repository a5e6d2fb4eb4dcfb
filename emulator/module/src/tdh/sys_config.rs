//! TDH.SYS.CONFIG: which memory may become TDs', and the module's own key.
//! [ABI-H 3.5]
//!
//! The HKID becomes reserved before the TDMRs are checked and stays so when they
//! fail, as in 1.5.01: a retry with another HKID leaks the first.
//! Of itself never SYS_BUSY: nobody else is in the module.

use abi::tdmr::{MAX_TDMRS, TdmrInfo};
use abi::{Operand, Regs, Status};

use super::Leaf;
use crate::kot::{KotState, is_private};
use crate::machine::Machine;
use crate::module::Module;
use crate::phys::load;
use crate::sys::SysState;
use crate::tdmr::{self, Tdmr};

/// The array of pointers and each TDMR_INFO are aligned to this.
const ALIGNMENT: u64 = 512;

pub(crate) fn run(module: &mut Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let (array, count, hkid) = (regs.rcx, regs.rdx, regs.r8);
    let invalid = |operand| Status::OPERAND_INVALID.with_operand(operand);
    if module.state != SysState::InitDone || !module.lp_is_initialized {
        return Err(Status::SYS_CONFIG_NOT_PENDING);
    }
    let array = module.shared_buffer(m, array, ALIGNMENT, Operand::Rcx)?;
    if count == 0 || count > MAX_TDMRS as u64 {
        return Err(invalid(Operand::Rdx));
    }
    let hkid = u16::try_from(hkid).map_err(|_| invalid(Operand::R8))?;
    if !is_private(hkid) {
        return Err(invalid(Operand::R8));
    }
    module.kot.set(hkid, KotState::Reserved);
    if let Err(status) = take_tdmrs(module, m, array, count) {
        module.clear_tdmrs();
        return Err(status);
    }
    for (base, size) in module.tdmrs().iter().flat_map(Tdmr::pamts) {
        m.hide_from_vmm(base, size);
    }
    module.state = SysState::ConfigDone;
    Ok(())
}

fn take_tdmrs(module: &mut Module, m: &dyn Machine, array: u64, count: u64) -> Leaf {
    module.clear_tdmrs();
    for index in 0..count {
        let pointer = m.read_u64(array + index * 8);
        let at = module.shared_buffer(m, pointer, ALIGNMENT, Operand::Rcx)?;
        let info: TdmrInfo = load(m, at);
        tdmr::check(module.tdmrs(), &info, &module.convertible())?;
        module.push_tdmr(&info);
    }
    Ok(())
}
