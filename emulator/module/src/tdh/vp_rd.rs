//! TDH.VP.RD: the VMM reads a field of a vCPU. [ABI-H 3.9, 4.7]
//!
//! Of itself never OPERAND_BUSY or VCPU_ASSOCIATED: there is one logical processor.

use abi::field::FieldId;
use abi::{Operand, Regs, Status};

use super::mng_rd::host_side;
use super::{Leaf, associate, check_vcpu_pages, vcpu_operand};
use crate::machine::Machine;
use crate::metadata::{Element, first_readable, vp};
use crate::module::Module;
use crate::td::Td;
use crate::td::tdcs::OpState;
use crate::td::tdvps::{Tdvps, VcpuState};

pub(crate) fn run(module: &Module, m: &mut dyn Machine, version: u8, regs: &mut Regs) -> Leaf {
    let (tdvpr, id) = (regs.rcx, FieldId(regs.rdx));
    if version > 0 {
        regs.rdx = FieldId::NULL.0;
    }
    regs.r8 = 0;
    if version > 1 {
        return Err(Status::OPERAND_INVALID.with_operand(Operand::Rax));
    }
    let states = [VcpuState::Ready, VcpuState::Disabled];
    let (tdvps, td) = open(module, m, tdvpr, &states)?;
    let side = host_side(&td);
    if version == 1 && id.is_null() {
        regs.rdx = first_readable(vp::FIELDS, side);
        return Err(Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT);
    }
    let element = Element::find(vp::FIELDS, id)?;
    let mask = element.readable(side)?;
    regs.r8 = vp::value(m, &tdvps, &element) & mask;
    if version == 1 {
        regs.rdx = element.next(side);
    }
    Ok(())
}

/// The vCPU and its TD, the vCPU in one of `states` and put onto this processor.
pub(super) fn open(
    module: &Module,
    m: &mut dyn Machine,
    tdvpr: u64,
    states: &[VcpuState],
) -> Result<(Tdvps, Td), Status> {
    let (mut tdvps, tdr_pa) = vcpu_operand(module, m, tdvpr, Operand::Rcx)?;
    let mut td = Td::load_in(m, tdr_pa, OpState::BUILT)?;
    check_vcpu_pages(&tdvps)?;
    if !states.iter().any(|state| tdvps.is_in(*state)) {
        return Err(Status::VCPU_STATE_INCORRECT);
    }
    associate(&mut tdvps, &mut td);
    td.store_tdcs(m);
    tdvps.store(m, tdvpr);
    Ok((tdvps, td))
}
