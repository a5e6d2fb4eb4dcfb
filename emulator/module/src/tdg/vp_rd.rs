//! TDG.VP.RD: the guest reads a field of the vCPU. [ABI-G 2.9]

use abi::field::FieldId;
use abi::{Operand, Status};

use super::{Answer, Call};
use crate::metadata::{Element, Side, first_readable, vp};

#[expect(clippy::unnecessary_wraps, reason = "every leaf has this signature")]
pub(crate) fn run(call: &mut Call<'_>) -> Answer {
    let regs = &mut call.tdvps.gprs;
    let (vp_handle, id) = (regs.rcx, FieldId(regs.rdx));
    (regs.rdx, regs.r8) = (FieldId::NULL.0, 0);
    if vp_handle != 0 {
        return Ok(Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    }
    if id.is_null() {
        regs.rdx = first_readable(vp::FIELDS, Side::Guest);
        return Ok(Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT);
    }
    let found = Element::find(vp::FIELDS, id)
        .and_then(|element| Ok((element, element.readable(Side::Guest)?)));
    match found {
        Err(status) => Ok(status),
        Ok((element, mask)) => {
            let value = vp::value(call.m, &call.tdvps, &element);
            call.tdvps.gprs.r8 = value & mask;
            call.tdvps.gprs.rdx = element.next(Side::Guest);
            Ok(Status::SUCCESS)
        }
    }
}
