//! TDG.MR.REPORT: the TD's measurements and the guest's own data, with a MAC.
//! [ABI-G 2.5, 13]
//!
//! 1.5.01 may stop for a host interrupt and restart, which the guest cannot see.

use abi::report::{REPORT_ALIGNMENT, REPORT_DATA_BYTES};
use abi::{Operand, Status};
use zerocopy::IntoBytes;

use super::{Answer, Call};
use crate::phys::{load, store};
use crate::report;
use crate::translate::Access;

pub(crate) fn run(call: &mut Call<'_>) -> Answer {
    let regs = &call.tdvps.gprs;
    let (report_gpa, data_gpa, subtype) = (regs.rcx, regs.rdx, regs.r8);
    if !report_gpa.is_multiple_of(REPORT_ALIGNMENT) {
        return Ok(Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    }
    if !data_gpa.is_multiple_of(REPORT_DATA_BYTES as u64) {
        return Ok(Status::OPERAND_INVALID.with_operand(Operand::Rdx));
    }
    let data = call.any_operand(data_gpa, Operand::Rdx, Access::READ)?;
    if subtype != 0 {
        return Ok(Status::OPERAND_INVALID.with_operand(Operand::R8));
    }
    // One copy, made before the report's page is looked up.
    let data: [u8; REPORT_DATA_BYTES] = load(call.m, data);
    let report = call.any_operand(report_gpa, Operand::Rcx, Access::READ_WRITE)?;
    let mut made = report::make(&call.report_key, &call.td.tdcs, data);
    if let Some((offset, wrong)) = call.faults.report
        && let Some(byte) = made.as_mut_bytes().get_mut(offset)
    {
        *byte ^= wrong;
    }
    store(call.m, report, &made);
    Ok(Status::SUCCESS)
}
