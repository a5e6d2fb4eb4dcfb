//! HLT, exit reason 12. [ABI-G 14], [TDVF 4.4]
//!
//! `sti; hlt` must not lose an interrupt that comes in between. The handler runs with
//! IF = 0 and halts with "not blocked" if the interrupted code had IF = 1: the host wakes
//! the vCPU when an interrupt is pending, delivered or not, and IRET restores IF behind the
//! HLT, where the interrupt is then taken.

use abi::VeInfo;
use abi::ghci::function;
use arch::trap::TrapFrame;
use tdcall::ghci::mask;

use super::{INTERRUPT_FLAG, Routed, Unroutable, instruction_length};
use crate::td::Tdcall;

pub(super) fn route(
    td: &mut impl Tdcall,
    info: &VeInfo,
    frame: &mut TrapFrame,
) -> Result<Routed, Unroutable> {
    let length = instruction_length(info)?;
    let is_blocked = frame.rflags & INTERRUPT_FLAG == 0;
    td.hlt(is_blocked).map_err(Unroutable::Refused)?;
    Ok(Routed { length, call: Some((function::HLT, mask::HLT)), value: u64::from(is_blocked) })
}
