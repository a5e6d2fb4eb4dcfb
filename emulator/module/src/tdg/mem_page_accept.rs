//! TDG.MEM.PAGE.ACCEPT: the guest takes a pending page. [ABI-G 11], [ABI-H 7.3]
//!
//! A page of 2 MiB is zeroed in one go; 1.5.01 may stop for a host interrupt and
//! restart, which the guest cannot see.

use abi::exit::ExtendedQualification;
use abi::{Operand, Status};

use super::{Answer, Call, sept_exit};
use crate::sept::{self, Entry, SeptState, Target, Walk, size_of_level};

pub(crate) fn run(call: &mut Call<'_>) -> Answer {
    let invalid = Status::OPERAND_INVALID.with_operand(Operand::Rcx);
    let Some(target) = Target::decode(call.tdvps.gprs.rcx, 0, 1) else { return Ok(invalid) };
    if !call.td.tdcs.is_private(target.gpa) {
        return Ok(invalid);
    }
    let walk = sept::walk(call.m, &call.td, target.gpa, target.level);
    let level = u32::from(walk.level);
    let at_level = walk.level == target.level;
    match walk.state() {
        SeptState::Mapped => Ok(Status::PAGE_ALREADY_ACCEPTED.with_detail(level)),
        SeptState::NlMapped | SeptState::NlBlocked if at_level => {
            Ok(Status::PAGE_SIZE_MISMATCH.with_detail(level))
        }
        SeptState::Pending if at_level => {
            accept(call, &walk);
            Ok(Status::SUCCESS)
        }
        _ => Err(sept_exit(ExtendedQualification::ACCEPT, target, &walk).into()),
    }
}

fn accept(call: &mut Call<'_>, walk: &Walk) {
    let page = walk.entry.page();
    if !call.faults.keeps_content {
        call.m.zero(page, size_of_level(walk.level));
    }
    walk.set(call.m, Entry::leaf(page, SeptState::Mapped));
}
