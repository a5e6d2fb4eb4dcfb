//! TDG.SYS.RD: the guest reads a global field. [ABI-G 2.10]

use abi::Status;
use abi::field::FieldId;

use super::{Answer, Call};
use crate::metadata::{Element, Side, first_readable, sys};

pub(crate) fn run(call: &mut Call<'_>) -> Answer {
    let regs = &mut call.tdvps.gprs;
    let id = FieldId(regs.rdx);
    (regs.rdx, regs.r8) = (FieldId::NULL.0, 0);
    if id.is_null() {
        regs.rdx = first_readable(sys::FIELDS, Side::Guest);
        return Ok(Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT);
    }
    let element = Element::find(sys::FIELDS, id)?;
    let mask = element.readable(Side::Guest)?;
    regs.r8 = sys::value(call.module, &element) & mask;
    regs.rdx = element.next(Side::Guest);
    Ok(Status::SUCCESS)
}
