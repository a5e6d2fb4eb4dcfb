//! TDG.MR.VERIFYREPORT: whether a REPORTMACSTRUCT was made on this machine.
//! [ABI-G 2.12]

use abi::report::ReportMac;
use abi::{Operand, Status};

use super::{Answer, Call};
use crate::phys::load;
use crate::report;
use crate::translate::Access;

/// RCX must be a multiple of this: the size of the structure.
const ALIGNMENT: u64 = size_of::<ReportMac>() as u64;

pub(crate) fn run(call: &mut Call<'_>) -> Answer {
    let gpa = call.tdvps.gprs.rcx;
    if !gpa.is_multiple_of(ALIGNMENT) {
        return Ok(Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    }
    let hpa = call.private_operand(gpa, Operand::Rcx, Access::READ)?;
    let report: ReportMac = load(call.m, hpa);
    Ok(report::verify(&call.report_key, &report))
}
