//! TDG.VP.WR: the guest writes a field of the vCPU. [ABI-G 2.9]

use abi::field::FieldId;
use abi::{Operand, Status};

use super::{Answer, Call};
use crate::metadata::{Element, Side, vp};

#[expect(clippy::unnecessary_wraps, reason = "every leaf has this signature")]
pub(crate) fn run(call: &mut Call<'_>) -> Answer {
    let regs = &mut call.tdvps.gprs;
    let (vp_handle, id) = (regs.rcx, FieldId(regs.rdx));
    let write = (Side::Guest, regs.r8, regs.r9);
    regs.r8 = 0;
    if vp_handle != 0 {
        return Ok(Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    }
    let written = Element::find(vp::FIELDS, id)
        .and_then(|element| vp::write(call.module, call.m, &mut call.tdvps, &element, write));
    match written {
        Err(status) => Ok(status),
        Ok(old) => {
            call.tdvps.gprs.r8 = old;
            Ok(Status::SUCCESS)
        }
    }
}
