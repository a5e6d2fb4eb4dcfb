//! TDG.VP.VEINFO.GET: why the last #VE was raised. [ABI-G 2.4]

use abi::Status;

use super::{Answer, Call};

#[expect(clippy::unnecessary_wraps, reason = "every leaf has this signature")]
pub(crate) fn run(call: &mut Call<'_>) -> Answer {
    let info = &mut call.tdvps.ve_info;
    let regs = &mut call.tdvps.gprs;
    (regs.rcx, regs.rdx, regs.r8, regs.r9, regs.r10) = (0, 0, 0, 0, 0);
    if info.valid == 0 {
        return Ok(Status::NO_VALID_VE_INFO);
    }
    info.valid = 0;
    regs.rcx = u64::from(info.reason);
    regs.rdx = info.qualification;
    regs.r8 = info.gla;
    regs.r9 = info.gpa;
    regs.r10 = u64::from(info.length) | u64::from(info.info) << 32;
    Ok(Status::SUCCESS)
}
