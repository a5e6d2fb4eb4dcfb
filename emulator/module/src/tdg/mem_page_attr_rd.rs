//! TDG.MEM.PAGE.ATTR.RD: how a private page is mapped. [ABI-G 2.13]

use abi::exit::ExtendedQualification;
use abi::{Operand, Status};

use super::{Answer, Call, Stop};
use crate::sept::{self, SeptState, size_of_level};
use crate::ve;

/// RCX: the page is not accepted yet.
pub(super) const PENDING: u64 = 1 << 62;

pub(crate) fn run(call: &mut Call<'_>) -> Answer {
    let gpa = call.tdvps.gprs.rcx;
    let (mapping, attributes) = match read(call, gpa) {
        // The attributes of the TD itself are none, and nested VMs there are none.
        Ok(mapping) => (mapping, 0),
        Err(stop @ Stop::Outcome(_)) => return Err(stop),
        Err(stop @ Stop::Status(_)) => {
            (call.tdvps.gprs.rcx, call.tdvps.gprs.rdx) = (0, 0);
            return Err(stop);
        }
    };
    (call.tdvps.gprs.rcx, call.tdvps.gprs.rdx) = (mapping, attributes);
    Ok(Status::SUCCESS)
}

fn read(call: &Call<'_>, gpa: u64) -> Result<u64, Stop> {
    call.check_private(gpa, Operand::Rcx)?;
    let walk = sept::walk(call.m, &call.td, gpa, 0);
    let pending = match walk.state() {
        SeptState::Mapped => 0,
        SeptState::Pending => PENDING,
        _ => return Err(ve::ept_violation_exit(gpa, 0, ExtendedQualification::NONE).into()),
    };
    let page = gpa & !(size_of_level(walk.level) - 1);
    Ok(page | u64::from(walk.level) | pending)
}
