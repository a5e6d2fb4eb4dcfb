//! TDCALL: one file a leaf, named as the specification names it. [ABI-G 1, 2]

mod mem_page_accept;
mod mr_rtmr_extend;
mod vm_rd;
mod vm_wr;
mod vp_cpuidve_set;
mod vp_info;
mod vp_rd;
mod vp_veinfo_get;
mod vp_vmcall;
mod vp_wr;

use abi::exit::ExtendedQualification;
use abi::leaf::tdg;
use abi::{ExitReason, Operand, Status};

use crate::machine::{Machine, Outcome, TdExit, VcpuId};
use crate::module::{Module, tdcall_is_versioned};
use crate::sept::SeptState;
use crate::td::Td;
use crate::td::tdvps::Tdvps;
use crate::translate::{Access, Translation, Violation, ViolationKind, translate_private};
use crate::ve;

/// A status for RAX, or what happens instead of finishing: RAX and RIP stay.
pub(crate) type Answer = Result<Status, Outcome>;

/// A TDCALL under way: the machine and copies of the caller's structures.
pub(crate) struct Call<'a> {
    pub module: &'a Module,
    pub m: &'a mut dyn Machine,
    pub v: VcpuId,
    pub td: Td,
    pub tdvps: Tdvps,
}

impl<'a> Call<'a> {
    pub(crate) fn load(module: &'a Module, m: &'a mut dyn Machine, v: VcpuId) -> Self {
        let td = Td::load(m, v.tdr);
        let tdvps = Tdvps::load(m, v.tdvpr);
        Self { module, m, v, td, tdvps }
    }

    /// Puts the status into RAX and stores the vCPU.
    pub(crate) fn finish(mut self, status: Status) {
        self.tdvps.gprs.rax = status.0;
        self.tdvps.store(self.m, self.v.tdvpr);
    }

    /// Host-physical address of a memory operand, readable, or what the access of
    /// the module in the guest's name leads to. [ABI-G 2.0]
    ///
    /// What the leaf changed in the vCPU so far is stored if the call ends here.
    pub(crate) fn private_operand(&mut self, gpa: u64, operand: Operand) -> Result<u64, Failed> {
        if !self.td.tdcs.is_private(gpa) {
            return Err(Failed::Status(Status::OPERAND_INVALID.with_operand(operand)));
        }
        let access = Access { read: true, ..Access::default() };
        match translate_private(self.m, &self.td, gpa, access) {
            Translation::Mapped { hpa, .. } => Ok(hpa),
            Translation::Violation(violation) => {
                self.tdvps.store(self.m, self.v.tdvpr);
                Err(Failed::Outcome(self.operand_violation(gpa, access, violation)))
            }
        }
    }

    fn operand_violation(&mut self, gpa: u64, access: Access, violation: Violation) -> Outcome {
        let missing = |wanted: bool, has: bool| u64::from(wanted && !has);
        let permissions = violation.permissions;
        let qualification = missing(access.read, permissions.read)
            | missing(access.write, permissions.write) << 1
            | permissions.bits() << 3;
        if violation.kind != ViolationKind::Private(SeptState::Pending) {
            return ve::ept_violation_exit(gpa, qualification, ExtendedQualification::NONE);
        }
        if self.td.tdcs.pending_exits() {
            let kind = ExtendedQualification::PENDING_EPT_VIOLATION;
            return ve::ept_violation_exit(gpa, qualification, kind);
        }
        ve::operand_ve(self.m, self.v, gpa, qualification)
    }
}

/// How a memory operand failed.
pub(crate) enum Failed {
    /// The leaf ends with this status.
    Status(Status),
    /// The leaf does not end: #VE or a TD exit.
    Outcome(Outcome),
}

/// Checks RAX and runs the leaf. [ABI-G 1]
pub(crate) fn run(call: &mut Call<'_>, rax: u64) -> Answer {
    const RESERVED: u64 = 0xFFFF_FFFF_FF00_0000;
    let invalid = Status::OPERAND_INVALID.with_operand(Operand::Rax);
    let (leaf, version) = (rax & 0xFFFF, (rax >> 16) as u8);
    if rax & RESERVED != 0 || (version > 0 && !tdcall_is_versioned(leaf)) {
        return Ok(invalid);
    }
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
        _ => Ok(invalid),
    }
}

/// The TD exit of a memory leaf that found nothing to work on. [ABI-G 11]
pub(crate) fn walk_exit(gpa: u64, qualification: u64, extended: u64) -> Outcome {
    Outcome::Exit(TdExit::Async {
        class: 0,
        reason: u32::from(ExitReason::EPT_VIOLATION.0),
        qualification,
        extended,
        gpa,
        interruption: 0,
    })
}
