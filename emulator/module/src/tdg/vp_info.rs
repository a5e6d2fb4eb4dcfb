//! TDG.VP.INFO: what the guest is. Never fails. [ABI-G 2.2]

use abi::Status;

use super::{Answer, Call};

/// R10 bit 0: TDG.SYS.RD and TDG.SYS.RDALL exist.
const SYS_RD: u64 = 1;

#[expect(clippy::unnecessary_wraps, reason = "every leaf has this signature")]
pub(crate) fn run(call: &mut Call<'_>) -> Answer {
    let tdcs = &call.td.tdcs;
    let index = call.tdvps.index;
    let regs = &mut call.tdvps.gprs;
    regs.rcx = u64::from(tdcs.gpa_width());
    regs.rdx = tdcs.attributes;
    regs.r8 = u64::from(tdcs.num_vcpus) | u64::from(tdcs.max_vcpus) << 32;
    regs.r9 = u64::from(index);
    regs.r10 = SYS_RD;
    regs.r11 = 0;
    Ok(Status::SUCCESS)
}
