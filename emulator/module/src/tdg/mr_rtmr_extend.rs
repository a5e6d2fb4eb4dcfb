//! TDG.MR.RTMR.EXTEND: adds 48 bytes to a run-time measurement. [ABI-G 2.3]

use abi::{Operand, Status};

use super::{Answer, Call};
use crate::mrtd;
use crate::translate::Access;

/// RCX must be a multiple of this, so that the data never crosses a page.
const ALIGNMENT: u64 = 64;

pub(crate) fn run(call: &mut Call<'_>) -> Answer {
    let (gpa, index) = (call.tdvps.gprs.rcx, call.tdvps.gprs.rdx);
    if gpa % ALIGNMENT != 0 {
        return Ok(Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    }
    let hpa = call.private_operand(gpa, Operand::Rcx, Access::READ)?;
    let mut data = [0; 48];
    call.m.read(hpa, &mut data);
    let slot = usize::try_from(index).ok().and_then(|index| call.td.tdcs.rtmr.get_mut(index));
    let Some(rtmr) = slot else {
        return Ok(Status::OPERAND_INVALID.with_operand(Operand::Rdx));
    };
    *rtmr = mrtd::extend_rtmr(rtmr, &data);
    call.td.store_tdcs(call.m);
    Ok(Status::SUCCESS)
}
