//! TDG.VM.RD: the guest reads a field of its TD. [ABI-G 2.8]

use abi::field::FieldId;
use abi::{Operand, Status};

use super::{Answer, Call};
use crate::metadata::{Element, Side, first_readable, td};

#[expect(clippy::unnecessary_wraps, reason = "every leaf has this signature")]
pub(crate) fn run(call: &mut Call<'_>, version: u8) -> Answer {
    let regs = &mut call.tdvps.gprs;
    let (td_handle, id) = (regs.rcx, FieldId(regs.rdx));
    regs.r8 = 0;
    if version > 0 {
        regs.rdx = FieldId::NULL.0;
    }
    if version > 1 {
        return Ok(Status::OPERAND_INVALID.with_operand(Operand::Rax));
    }
    if td_handle != 0 {
        return Ok(Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    }
    if version == 1 && id.is_null() {
        regs.rdx = first_readable(td::FIELDS, Side::Guest);
        return Ok(Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT);
    }
    let found = Element::find(td::FIELDS, id)
        .and_then(|element| Ok((element, element.readable(Side::Guest)?)));
    match found {
        Err(status) => Ok(status),
        Ok((element, mask)) => {
            let next = element.next(Side::Guest);
            regs.r8 = td::value(&call.td, &element) & mask;
            if version == 1 {
                regs.rdx = next;
            }
            Ok(Status::SUCCESS)
        }
    }
}
