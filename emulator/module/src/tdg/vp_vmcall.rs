//! TDG.VP.VMCALL: the guest calls the VMM. [ABI-G 4]
//!
//! The only check is on the mask in RCX; which function the registers name is the
//! VMM's affair. The registers are handed over when `svm` asks for the TD exit.

use abi::exit::VmcallMask;
use abi::{Gpr, Operand, Status};

use super::{Answer, Call};
use crate::machine::{Outcome, TdExit};
use crate::td::Td;

pub(crate) fn run(call: &mut Call<'_>) -> Answer {
    let regs = &call.tdvps.gprs;
    let mut allowed = u64::from(VmcallMask::GPR_ALLOWED) | 0xFFFF_0000;
    if call.td.tdcs.keeps_rbp() {
        allowed &= !Gpr::Rbp.bit();
    }
    if regs.rcx & !allowed != 0 {
        return Ok(Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    }
    let seen = VmcallMask(regs.rcx as u32).expose(regs);
    Td::count(call.m, call.v.tdr, |counts| counts.record_vmcall(seen.r10, seen.r11));
    Err(Outcome::Exit(TdExit::Vmcall).into())
}
