//! TDG.VM.WR: the guest writes a field of its TD. [ABI-G 2.8]

use abi::field::FieldId;
use abi::{Operand, Status};

use super::{Answer, Call};
use crate::metadata::{Element, Side, td};

#[expect(clippy::unnecessary_wraps, reason = "every leaf has this signature")]
pub(crate) fn run(call: &mut Call<'_>) -> Answer {
    let regs = &mut call.tdvps.gprs;
    let (td_handle, id) = (regs.rcx, FieldId(regs.rdx));
    let (value, mask) = (regs.r8, regs.r9);
    regs.r8 = 0;
    if td_handle != 0 {
        return Ok(Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    }
    let written = Element::find(td::FIELDS, id)
        .and_then(|element| td::write(&mut call.td, &element, Side::Guest, value, mask));
    match written {
        Err(status) => Ok(status),
        Ok(old) => {
            call.tdvps.gprs.r8 = old;
            call.td.store_tdcs(call.m);
            Ok(Status::SUCCESS)
        }
    }
}
