//! Writes of CR0 and CR4 that a TD can not have, exit reason 28. [ABI-G 7]
//!
//! The module lets every legal write through. What is left (CR0.PE = 0, CD or NW = 1;
//! CR4.MCE = 0, VMXE or SMXE = 1) can not be had from the host either: it is refused, as by a
//! processor on which those bits are fixed.

use abi::{Gpr, VeInfo};
use arch::trap::TrapFrame;

use super::{Routed, Unroutable};

/// Access type, bits 5:4: MOV to CR.
const MOV_TO: u64 = 0;

pub(super) fn route(info: &VeInfo, frame: &TrapFrame) -> Result<Routed, Unroutable> {
    let qualification = info.qualification;
    let number = (qualification & 0xF) as u8;
    let source = Gpr::ALL.get((qualification >> 8 & 0xF) as usize);
    let is_mov = qualification >> 4 & 3 == MOV_TO;
    let value = source.filter(|_| is_mov).map(|gpr| frame.regs[*gpr]);
    Err(Unroutable::ControlRegister { number, value })
}
