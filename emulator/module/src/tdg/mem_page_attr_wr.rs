//! TDG.MEM.PAGE.ATTR.WR: sets what nested VMs may do with a page. [ABI-G 2.13]
//!
//! A TD here has no nested VM, so nothing can be set: the call finds the page and says
//! how it is mapped.

use abi::exit::ExtendedQualification;
use abi::{Operand, Status};

use super::mem_page_attr_rd::PENDING;
use super::{Answer, Call, Stop, sept_exit};
use crate::sept::{self, SeptState, Target};

/// Words of RDX and R8, one a VM; word 0 is the TD itself.
const VMS: u32 = 4;
/// Highest level of a page: 1 GiB.
const HIGHEST: u8 = 2;

pub(crate) fn run(call: &mut Call<'_>) -> Answer {
    let result = write(call);
    match result {
        Ok(mapping) => (call.tdvps.gprs.rcx, call.tdvps.gprs.rdx) = (mapping, 0),
        Err(Stop::Status(_)) => (call.tdvps.gprs.rcx, call.tdvps.gprs.rdx) = (0, 0),
        Err(Stop::Outcome(_)) => (),
    }
    result.map(|_| Status::SUCCESS)
}

fn write(call: &Call<'_>) -> Result<u64, Stop> {
    let regs = &call.tdvps.gprs;
    check_attributes(regs.rdx, regs.r8)?;
    let invalid = Status::OPERAND_INVALID.with_operand(Operand::Rcx);
    let target = Target::decode(regs.rcx, 0, HIGHEST).ok_or(invalid)?;
    call.check_private(target.gpa, Operand::Rcx)?;
    let walk = sept::walk(call.m, &call.td, target.gpa, target.level);
    let state = walk.state();
    let at_level = walk.level == target.level;
    if at_level && matches!(state, SeptState::NlMapped | SeptState::NlBlocked) {
        return Err(Status::PAGE_SIZE_MISMATCH.with_detail(u32::from(walk.level)).into());
    }
    match state {
        SeptState::Mapped if at_level => Ok(regs.rcx),
        SeptState::Pending if at_level => Ok(regs.rcx | PENDING),
        _ => Err(sept_exit(ExtendedQualification::ATTR_WR, target, &walk).into()),
    }
}

/// No VM takes attributes or a mask; VM by VM, the attributes first.
fn check_attributes(attributes: u64, masks: u64) -> Result<(), Status> {
    for vm in 0..VMS {
        for (words, operand) in [(attributes, Operand::Rdx), (masks, Operand::R8)] {
            if words >> (16 * vm) & 0xFFFF != 0 {
                return Err(Status::OPERAND_INVALID.with_operand(operand));
            }
        }
    }
    Ok(())
}
