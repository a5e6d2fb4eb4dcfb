//! TDCALL: one file a leaf, named as the specification names it. [ABI-G 1, 2]

mod mem_page_accept;
mod mem_page_attr_rd;
mod mem_page_attr_wr;
mod mr_report;
mod mr_rtmr_extend;
mod mr_verifyreport;
mod operand;
mod servtd;
mod sys_rd;
mod sys_rdall;
mod vm_rd;
mod vm_wr;
mod vp_cpuidve_set;
mod vp_enter;
mod vp_info;
mod vp_invept;
mod vp_invvpid;
mod vp_rd;
mod vp_veinfo_get;
mod vp_vmcall;
mod vp_wr;

use abi::exit::ExtendedQualification;
use abi::leaf::tdg;
use abi::{Operand, Status};

use crate::faults::CallFaults;
use crate::machine::{Machine, Outcome, VcpuId};
use crate::module::{Module, tdcall_is_versioned};
use crate::report;
use crate::sept::{Target, Walk};
use crate::td::Td;
use crate::td::tdvps::Tdvps;
use crate::ve;

/// A status for RAX, or why there is none yet.
pub(crate) type Answer = Result<Status, Stop>;

/// A TDCALL under way: the machine and copies of the caller's structures.
pub(crate) struct Call<'a> {
    pub module: &'a Module,
    pub m: &'a mut dyn Machine,
    pub v: VcpuId,
    pub td: Td,
    pub tdvps: Tdvps,
    /// Key of the MAC in TDREPORTs.
    pub report_key: report::Key,
    /// What goes wrong with it.
    pub faults: CallFaults,
}

impl<'a> Call<'a> {
    pub(crate) fn load(
        module: &'a Module,
        m: &'a mut dyn Machine,
        v: VcpuId,
        report_key: report::Key,
    ) -> Self {
        let td = Td::load(m, v.tdr);
        let tdvps = Tdvps::load(m, v.tdvpr);
        Self { module, m, v, td, tdvps, report_key, faults: CallFaults::default() }
    }

    /// Puts the status into RAX and stores the vCPU.
    pub(crate) fn finish(mut self, status: Status) {
        self.tdvps.gprs.rax = status.0;
        self.tdvps.store(self.m, self.v.tdvpr);
    }
}

/// Why a leaf stopped before its end.
pub(crate) enum Stop {
    /// The call ends with this status.
    Status(Status),
    /// The call does not end: #VE, or a TD exit. RAX and RIP stay, but for the
    /// trap-like exits.
    Outcome(Outcome),
}

impl From<Status> for Stop {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<Outcome> for Stop {
    fn from(outcome: Outcome) -> Self {
        Self::Outcome(outcome)
    }
}

/// Checks RAX and runs the leaf. [ABI-G 1]
pub(crate) fn run(call: &mut Call<'_>, rax: u64) -> Result<Status, Outcome> {
    match dispatch(call, rax) {
        Ok(status) | Err(Stop::Status(status)) => Ok(status),
        Err(Stop::Outcome(outcome)) => Err(outcome),
    }
}

/// RAX with nothing wrong: leaf and version.
pub(crate) fn check(rax: u64) -> Result<(u64, u8), Status> {
    const RESERVED: u64 = 0xFFFF_FFFF_FF00_0000;
    let (leaf, version) = (rax & 0xFFFF, (rax >> 16) as u8);
    if rax & RESERVED != 0 || (version > 0 && !tdcall_is_versioned(leaf)) {
        return Err(Status::OPERAND_INVALID.with_operand(Operand::Rax));
    }
    Ok((leaf, version))
}

fn dispatch(call: &mut Call<'_>, rax: u64) -> Answer {
    let (leaf, version) = check(rax)?;
    match leaf {
        tdg::VP_VMCALL => vp_vmcall::run(call),
        tdg::VP_INFO => vp_info::run(call),
        tdg::MR_RTMR_EXTEND => mr_rtmr_extend::run(call),
        tdg::VP_VEINFO_GET => vp_veinfo_get::run(call),
        tdg::VP_CPUIDVE_SET => vp_cpuidve_set::run(call),
        tdg::MEM_PAGE_ACCEPT => mem_page_accept::run(call),
        tdg::VM_RD => vm_rd::run(call, version),
        tdg::VM_WR => vm_wr::run(call),
        tdg::VP_RD => vp_rd::run(call),
        tdg::VP_WR => vp_wr::run(call),
        tdg::SYS_RD => sys_rd::run(call),
        tdg::SYS_RDALL => sys_rdall::run(call),
        tdg::SERVTD_RD => servtd::run(call, servtd::Direction::Read),
        tdg::SERVTD_WR => servtd::run(call, servtd::Direction::Write),
        tdg::MR_REPORT => mr_report::run(call),
        tdg::MR_VERIFYREPORT => mr_verifyreport::run(call),
        tdg::MEM_PAGE_ATTR_RD => mem_page_attr_rd::run(call),
        tdg::MEM_PAGE_ATTR_WR => mem_page_attr_wr::run(call),
        tdg::VP_ENTER => vp_enter::run(call),
        tdg::VP_INVEPT => vp_invept::run(call),
        tdg::VP_INVVPID => vp_invvpid::run(call),
        _ => Ok(Status::OPERAND_INVALID.with_operand(Operand::Rax)),
    }
}

/// The TD exit of a leaf that found nothing to work on in the secure EPT, of type
/// `kind`. Both leaves that make it count as writes. [ABI-G 10, 11]
fn sept_exit(kind: u64, target: Target, walk: &Walk) -> Outcome {
    const WRITE: u64 = 1 << 1;
    let state = walk.state();
    let extended = ExtendedQualification::with_walk(
        kind,
        target.level,
        walk.level,
        state.architectural(),
        state.is_leaf(),
    );
    let qualification = WRITE | walk.entry.rights() << 3;
    ve::ept_violation_exit(target.gpa, qualification, extended.0)
}
