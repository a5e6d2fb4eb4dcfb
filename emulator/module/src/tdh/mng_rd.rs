//! TDH.MNG.RD: the VMM reads a field of a TD. [ABI-H 3.9, 4.6]
//!
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::attributes::Attributes;
use abi::field::FieldId;
use abi::{Operand, Regs, Status};

use super::{Leaf, td_operand};
use crate::machine::Machine;
use crate::metadata::{Element, Side, first_readable, td};
use crate::module::Module;
use crate::td::Td;
use crate::td::tdcs::OpState;

pub(crate) fn run(module: &Module, m: &dyn Machine, version: u8, regs: &mut Regs) -> Leaf {
    let (tdr_pa, id) = (regs.rcx, FieldId(regs.rdx));
    regs.r8 = 0;
    if version > 0 {
        regs.rdx = FieldId::NULL.0;
    }
    if version > 1 {
        return Err(Status::OPERAND_INVALID.with_operand(Operand::Rax));
    }
    let owner = td_operand(module, m, tdr_pa, Operand::Rcx, OpState::BUILT)?;
    let side = host_side(&owner);
    if version == 1 && id.is_null() {
        regs.rdx = first_readable(td::FIELDS, side);
        return Err(Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT);
    }
    let element = Element::find(td::FIELDS, id)?;
    let mask = element.readable(side)?;
    regs.r8 = td::value(&owner, &element) & mask;
    if version == 1 {
        regs.rdx = element.next(side);
    }
    Ok(())
}

/// The VMM of a debug TD may read more.
pub(crate) fn host_side(td: &Td) -> Side {
    let is_debug = td.tdcs.attributes & Attributes::DEBUG.bits() != 0;
    if is_debug { Side::DebugHost } else { Side::Host }
}
