//! TDG.VP.ENTER: the guest enters a nested VM. [ABI-G 2.14]
//!
//! A TD here has no nested VM, so one of the checks always fails.

use abi::{Operand, Status};

use super::{Answer, Call};

/// RDX must be a multiple of this.
const ALIGNMENT: u64 = 256;

pub(crate) fn run(call: &mut Call<'_>) -> Answer {
    let state = call.tdvps.gprs.rdx;
    if !state.is_multiple_of(ALIGNMENT) {
        return Ok(Status::OPERAND_INVALID.with_operand(Operand::Rdx));
    }
    call.check_private(state, Operand::Rdx)?;
    Ok(Status::OPERAND_INVALID.with_operand(Operand::Rcx))
}
