//! TDH.SYS.RD: reads a global field. [ABI-H 3.5, 4.5]

use abi::field::FieldId;
use abi::{Regs, Status};

use super::Leaf;
use crate::metadata::{Element, Side, first_readable, sys};
use crate::module::Module;

pub(crate) fn run(module: &Module, regs: &mut Regs) -> Leaf {
    let id = FieldId(regs.rdx);
    (regs.rdx, regs.r8) = (FieldId::NULL.0, 0);
    if !module.lp_is_initialized {
        return Err(Status::SYS_LP_INIT_NOT_DONE);
    }
    if id.is_null() {
        regs.rdx = first_readable(sys::FIELDS, Side::Host);
        return Err(Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT);
    }
    let element = Element::find(sys::FIELDS, id)?;
    let mask = element.readable(Side::Host)?;
    regs.r8 = sys::value(module, &element) & mask;
    regs.rdx = element.next(Side::Host);
    Ok(())
}
