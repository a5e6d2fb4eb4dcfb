//! Guest memory as an operand: what the module's own access leads to. [ABI-G 2.0]

use abi::exit::ExtendedQualification;
use abi::{Operand, Status};

use super::{Call, Stop};
use crate::machine::Outcome;
use crate::sept::SeptState;
use crate::shared_ept::Walker;
use crate::translate::{Access, Translation, Violation, ViolationKind, translate_private};
use crate::ve;

impl Call<'_> {
    /// Host-physical address of an operand that must be private.
    pub(crate) fn private_operand(
        &mut self,
        gpa: u64,
        operand: Operand,
        access: Access,
    ) -> Result<u64, Stop> {
        self.check_private(gpa, operand)?;
        self.walk(gpa, access)
    }

    /// Host-physical address of an operand that may be private or shared.
    pub(crate) fn any_operand(
        &mut self,
        gpa: u64,
        operand: Operand,
        access: Access,
    ) -> Result<u64, Stop> {
        let shared = self.td.tdcs.shared_mask();
        self.check_private(gpa & !shared, operand)?;
        self.walk(gpa, access)
    }

    /// Refuses a GPA that is shared or beyond the width.
    pub(crate) fn check_private(&self, gpa: u64, operand: Operand) -> Result<(), Stop> {
        if self.td.tdcs.is_private(gpa) {
            return Ok(());
        }
        Err(Status::OPERAND_INVALID.with_operand(operand).into())
    }

    /// What the leaf changed in the vCPU so far is stored if the call ends here.
    fn walk(&mut self, gpa: u64, access: Access) -> Result<u64, Stop> {
        let translation = if gpa & self.td.tdcs.shared_mask() == 0 {
            translate_private(self.m, &self.td, gpa, access)
        } else {
            let root = (self.tdvps.shared_eptp, self.td.tdcs.root_level());
            self.module.translate_shared(self.m, Walker::Module, root, gpa, access)
        };
        match translation {
            Translation::Mapped { hpa, .. } => Ok(hpa),
            Translation::Violation(violation) => {
                self.tdvps.store(self.m, self.v.tdvpr);
                Err(self.violation(gpa, access, violation).into())
            }
        }
    }

    fn violation(&mut self, gpa: u64, access: Access, violation: Violation) -> Outcome {
        let missing = |wanted: bool, has: bool| u64::from(wanted && !has);
        let permissions = violation.permissions;
        let qualification = missing(access.read, permissions.read)
            | missing(access.write, permissions.write) << 1
            | permissions.bits() << 3;
        let exit = |extended| ve::ept_violation_exit(gpa, qualification, extended);
        match violation.kind {
            ViolationKind::Private(SeptState::Pending) if self.td.tdcs.pending_exits() => {
                exit(ExtendedQualification::PENDING_EPT_VIOLATION)
            }
            ViolationKind::Private(SeptState::Pending)
            | ViolationKind::Shared { suppress_ve: false } => {
                ve::operand_ve(self.m, self.v, gpa, qualification)
            }
            ViolationKind::SharedMisconfigured => ve::ept_misconfiguration_exit(gpa),
            _ => exit(ExtendedQualification::NONE),
        }
    }
}
