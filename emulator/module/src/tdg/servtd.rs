//! TDG.SERVTD.RD and .WR: a service TD reaches into another TD. [ABI-G 2.11]
//!
//! Nothing here binds a service TD, so the last check always fails. What the calls say
//! before that depends on the TD that the binding handle names. The caller sees a fault
//! of its own as a status; a fault of the target or of the binding leaves the TD, so
//! that the VMM sees it.

use abi::field::FieldId;
use abi::{Operand, Status};

use super::{Answer, Call, Stop};
use crate::machine::{Outcome, TdExit};
use crate::pamt::PageType;
use crate::td::Td;
use crate::td::tdcs::OpState;

/// Service TDs that a TD can have.
const SLOTS: u64 = 1;
/// The UUID before an import, in a TD that was never imported.
const PRE_IMPORT_UUID: [u64; 4] = [0; 4];

/// Which of the two leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Read,
    Write,
}

/// RCX without the caller's UUID: bits 11:0 the slot, 51:12 the target's TDR page.
struct Handle {
    slot: u64,
    target: u64,
}

impl Handle {
    fn decode(operand: u64, uuid: u64) -> Self {
        let handle = operand.wrapping_sub(uuid);
        Self { slot: handle & 0xFFF, target: handle & 0x000F_FFFF_FFFF_F000 }
    }
}

pub(crate) fn run(call: &mut Call<'_>, direction: Direction) -> Answer {
    let regs = &mut call.tdvps.gprs;
    let handle = Handle::decode(regs.rcx, call.td.tdr.uuid[0]);
    if direction == Direction::Read {
        regs.rdx = FieldId::NULL.0;
    }
    regs.r8 = 0;
    if handle.slot >= SLOTS {
        return Ok(Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    }
    let target = match find(call, handle.target) {
        Ok(target) => target,
        Err(status) => return Err(trap(call, status, handle.target)),
    };
    let regs = &mut call.tdvps.gprs;
    let uuid = [regs.r10, regs.r11, regs.r12, regs.r13];
    if uuid == target.tdr.uuid {
        let not_bound = Status::SERVTD_NOT_BOUND.with_detail(handle.slot as u32);
        return Err(trap(call, not_bound, handle.target));
    }
    if uuid == PRE_IMPORT_UUID {
        [regs.r10, regs.r11, regs.r12, regs.r13] = target.tdr.uuid;
        return Ok(Status::TARGET_UUID_UPDATED);
    }
    Ok(Status::TARGET_UUID_MISMATCH)
}

/// The TD whose TDR page is at `tdr`, if it can be looked into.
fn find(call: &Call<'_>, tdr: u64) -> Result<Td, Status> {
    const ALL: &[OpState] = &[OpState::Uninitialized, OpState::Initialized, OpState::Runnable];
    call.module.private_page(call.m, tdr, Operand::Tdr, PageType::TDR)?;
    Td::load_in(call.m, tdr, ALL)
}

/// Leaves the TD with the call finished.
fn trap(call: &mut Call<'_>, status: Status, target: u64) -> Stop {
    call.tdvps.gprs.rax = status.0;
    call.tdvps.store(call.m, call.v.tdvpr);
    Outcome::Exit(TdExit::CrossTdTrap { status, target }).into()
}
