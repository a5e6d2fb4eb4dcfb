//! Virtualization exceptions and EPT violations. [ABI-G 5, 10]

use abi::ExitReason;
use abi::exit::ExtendedQualification;

use crate::faults::Place;
use crate::machine::{Exception, Machine, Outcome, TdExit, VcpuId};
use crate::module::Module;
use crate::sept::SeptState;
use crate::td::Td;
use crate::td::tdvps::{Tdvps, VeInfoArea};
use crate::translate::{Access, Violation, ViolationKind};
use crate::zero_step;

/// Page-fault error code bits.
const PF_PRESENT: u32 = 1 << 0;
const PF_WRITE: u32 = 1 << 1;
const PF_USER: u32 = 1 << 2;
const PF_RESERVED: u32 = 1 << 3;
const PF_FETCH: u32 = 1 << 4;

/// Bits 12:7 of an EPT violation's qualification, which the VMM does not see.
const HIDDEN_FROM_VMM: u64 = 0x3F << 7;

/// An access to guest-physical memory that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EptFault {
    /// Guest-physical address with the SHARED bit and the page offset.
    pub gpa: u64,
    /// Guest linear address, if it is known.
    pub gla: Option<u64>,
    /// What the access wanted.
    pub access: Access,
    /// The access was to a guest paging structure, not to the address it leads to.
    pub page_walk: bool,
    /// The CPU ran at CPL 3.
    pub user: bool,
    /// Vector of the event that the CPU was delivering, if it was.
    pub delivering: Option<u8>,
    /// NMIs are blocked, or an IRET is about to end that.
    pub nmi_blocked: bool,
}

impl EptFault {
    fn qualification(&self, violation: Violation) -> u64 {
        let Access { read, write, execute } = self.access;
        let linear = self.gla.is_some();
        u64::from(read)
            | u64::from(write) << 1
            | u64::from(execute) << 2
            | violation.permissions.bits() << 3
            | u64::from(linear) << 7
            | u64::from(linear && !self.page_walk) << 8
    }

    fn page_fault_code(&self) -> u32 {
        let bit = |set: bool, bit: u32| if set { bit } else { 0 };
        PF_PRESENT
            | PF_RESERVED
            | bit(self.access.write, PF_WRITE)
            | bit(self.user, PF_USER)
            | bit(self.access.execute, PF_FETCH)
    }
}

/// A fault-like TD exit for an EPT violation. [ABI-G 10]
pub(crate) fn ept_violation_exit(gpa: u64, qualification: u64, extended: u64) -> Outcome {
    Outcome::Exit(TdExit::Async {
        class: 0,
        reason: u32::from(ExitReason::EPT_VIOLATION.0),
        qualification: qualification & !HIDDEN_FROM_VMM,
        extended,
        gpa,
        interruption: 0,
    })
}

/// A fault-like TD exit for an entry of the shared EPT that no CPU accepts. [ABI-G 10]
pub(crate) fn ept_misconfiguration_exit(gpa: u64) -> Outcome {
    Outcome::Exit(TdExit::Async {
        class: 0,
        reason: u32::from(ExitReason::EPT_MISCONFIGURATION.0),
        qualification: 0,
        extended: ExtendedQualification::NONE,
        gpa,
        interruption: 0,
    })
}

impl Module {
    /// What follows from a violation that [`Module::translate`] found: #VE, #PF, or
    /// a TD exit. Fills VE_INFO if the answer is #VE.
    pub fn ept_violation(
        &mut self,
        m: &mut dyn Machine,
        v: VcpuId,
        fault: EptFault,
        violation: Violation,
    ) -> Outcome {
        let qualification = fault.qualification(violation);
        let exit = |extended| ept_violation_exit(fault.gpa, qualification, extended);
        if !matches!(violation.kind, ViolationKind::Shared { .. }) {
            zero_step::note_exit(m, v);
        }
        match violation.kind {
            ViolationKind::BeyondWidth => match fault.gla {
                Some(gla) => reserved_bit_fault(&fault, gla),
                None => exit(ExtendedQualification::NONE),
            },
            ViolationKind::SharedMisconfigured => ept_misconfiguration_exit(fault.gpa),
            ViolationKind::Shared { suppress_ve } => {
                let tdvps = Tdvps::load(m, v.tdvpr);
                if suppress_ve || fault.delivering.is_some() || tdvps.ve_info.valid != 0 {
                    zero_step::note_exit(m, v);
                    return exit(ExtendedQualification::NONE);
                }
                let qualification = self.spoiled(ExitReason::EPT_VIOLATION, qualification);
                hardware_ve(m, v, tdvps, fault, qualification)
            }
            ViolationKind::Private(SeptState::Pending) => {
                if Td::load(m, v.tdr).tdcs.pending_exits() {
                    note_violation(m, v, &fault, qualification);
                    return exit(ExtendedQualification::PENDING_EPT_VIOLATION);
                }
                let area = ept_area(qualification, fault.gpa, fault.gla);
                inject_ve(m, v, area)
            }
            ViolationKind::Private(_) => {
                note_violation(m, v, &fault, qualification);
                exit(ExtendedQualification::NONE)
            }
        }
    }

    /// #VE for an instruction that a TD may not execute, or #DF while the guest has
    /// not fetched the information of the last one.
    #[expect(clippy::too_many_arguments, reason = "the fields of VE_INFO, one by one")]
    pub fn instruction_ve(
        &mut self,
        m: &mut dyn Machine,
        v: VcpuId,
        reason: ExitReason,
        qualification: u64,
        length: u32,
        info: u32,
    ) -> Outcome {
        let qualification = self.spoiled(reason, qualification);
        let mut area = ept_area(qualification, 0, None);
        area.reason = u32::from(reason.0);
        area.length = length;
        area.info = info;
        inject_ve(m, v, area)
    }

    /// The qualification of a #VE, with what is to be wrong about it.
    fn spoiled(&mut self, reason: ExitReason, qualification: u64) -> u64 {
        let wrong = self.config.faults.at(Place::Ve(reason.0), &[qualification]);
        qualification ^ wrong.unwrap_or(0)
    }
}

fn note_violation(m: &mut dyn Machine, v: VcpuId, fault: &EptFault, qualification: u64) {
    let loses_event = fault.delivering.is_some() || fault.nmi_blocked;
    zero_step::note_violation(m, v, fault.gpa, qualification, loses_event);
}

/// #PF for a GPA that the width of 48 bits does not allow; a second fault in the
/// delivery of #PF or #VE is #DF, and in that of #DF the vCPU dies. [ABI-G 10]
fn reserved_bit_fault(fault: &EptFault, gla: u64) -> Outcome {
    match fault.delivering {
        Some(8) => Outcome::Exit(triple_fault()),
        Some(14 | 20) => Outcome::Inject(Exception::Df),
        _ => Outcome::Inject(Exception::Pf { cr2: gla, error: fault.page_fault_code() }),
    }
}

/// The TD exit of a vCPU that can never run again. [ABI-H 5.7]
#[must_use]
pub fn triple_fault() -> TdExit {
    TdExit::Async {
        class: (abi::Status::NON_RECOVERABLE_VCPU.0 >> 32) as u32,
        reason: u32::from(ExitReason::TRIPLE_FAULT.0),
        qualification: 0,
        extended: ExtendedQualification::NONE,
        gpa: 0,
        interruption: 0,
    }
}

fn ept_area(qualification: u64, gpa: u64, gla: Option<u64>) -> VeInfoArea {
    VeInfoArea {
        qualification,
        gla: gla.unwrap_or(0),
        gpa,
        ..VeInfoArea::new(u32::from(ExitReason::EPT_VIOLATION.0))
    }
}

/// The CPU's own #VE: the module-only fields keep what the last #VE left there.
fn hardware_ve(
    m: &mut dyn Machine,
    v: VcpuId,
    mut tdvps: Tdvps,
    fault: EptFault,
    qualification: u64,
) -> Outcome {
    let area = ept_area(qualification, fault.gpa, fault.gla);
    tdvps.ve_info = VeInfoArea { length: tdvps.ve_info.length, info: tdvps.ve_info.info, ..area };
    deliver(m, v, &tdvps)
}

/// The module's #VE. [ABI-G 5]
pub(crate) fn inject_ve(m: &mut dyn Machine, v: VcpuId, area: VeInfoArea) -> Outcome {
    let mut tdvps = Tdvps::load(m, v.tdvpr);
    if tdvps.ve_info.valid != 0 {
        return Outcome::Inject(Exception::Df);
    }
    tdvps.ve_info = area;
    deliver(m, v, &tdvps)
}

/// #VE for memory that a TDCALL names as operand: no linear address, and the length is
/// that of the TDCALL. [ABI-G 2.0]
pub(crate) fn operand_ve(m: &mut dyn Machine, v: VcpuId, gpa: u64, qualification: u64) -> Outcome {
    const TDCALL_BYTES: u32 = 4;
    let area = VeInfoArea { length: TDCALL_BYTES, ..ept_area(qualification, gpa, None) };
    inject_ve(m, v, area)
}

fn deliver(m: &mut dyn Machine, v: VcpuId, tdvps: &Tdvps) -> Outcome {
    tdvps.store(m, v.tdvpr);
    let reason = tdvps.ve_info.reason as u16;
    Td::count(m, v.tdr, |counts| counts.record_ve(reason));
    Outcome::Inject(Exception::Ve)
}
