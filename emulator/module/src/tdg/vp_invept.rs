//! TDG.VP.INVEPT: the guest invalidates translations of nested VMs. [ABI-G 2.14]
//!
//! RCX names VMs by bits; bit 0 is the guest itself, and there are no others.

use abi::{Operand, Status};

use super::{Answer, Call};

#[expect(clippy::unnecessary_wraps, reason = "every leaf has this signature")]
pub(crate) fn run(call: &mut Call<'_>) -> Answer {
    match call.tdvps.gprs.rcx {
        0 => Ok(Status::SUCCESS),
        _ => Ok(Status::OPERAND_INVALID.with_operand(Operand::Rcx)),
    }
}
