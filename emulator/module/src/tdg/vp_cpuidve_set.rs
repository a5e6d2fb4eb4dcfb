//! TDG.VP.CPUIDVE.SET: #VE on every CPUID of a privilege. [ABI-G 2.6]

use abi::{Operand, Status};

use super::{Answer, Call};

const SUPERVISOR: u64 = 1 << 0;
const USER: u64 = 1 << 1;

#[expect(clippy::unnecessary_wraps, reason = "every leaf has this signature")]
pub(crate) fn run(call: &mut Call<'_>) -> Answer {
    let wanted = call.tdvps.gprs.rcx;
    if wanted & !(SUPERVISOR | USER) != 0 {
        return Ok(Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    }
    call.tdvps.cpuid_supervisor_ve = u8::from(wanted & SUPERVISOR != 0);
    call.tdvps.cpuid_user_ve = u8::from(wanted & USER != 0);
    Ok(Status::SUCCESS)
}
