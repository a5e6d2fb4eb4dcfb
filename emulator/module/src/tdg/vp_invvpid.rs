//! TDG.VP.INVVPID: the guest invalidates linear addresses of a nested VM. [ABI-G 2.14]
//!
//! RCX must name a nested VM, and a TD here has none.

use abi::{Operand, Status};

use super::{Answer, Call};

#[expect(clippy::unnecessary_wraps, reason = "every leaf has this signature")]
pub(crate) fn run(_: &mut Call<'_>) -> Answer {
    Ok(Status::OPERAND_INVALID.with_operand(Operand::Rcx))
}
