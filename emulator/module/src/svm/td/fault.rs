//! Nested page faults of a TD: fill the map, or EPT violation. [ABI-G 10]

use super::super::exit::NestedFault;
use super::super::fetch;
use super::super::inject::Event;
use super::super::linear::{self, Cause, Fault};
use super::map::Page;
use super::memory::TdMemory;
use super::run::Td;
use crate::machine::{Exception, Outcome};
use crate::sept::SeptState;
use crate::{Access, EptFault, Translation, Violation, ViolationKind};

/// Page-fault error code: present, user, reserved bit, fetch.
const PF_PRESENT: u32 = 1 << 0;
const PF_USER: u32 = 1 << 2;
const PF_RESERVED: u32 = 1 << 3;
const PF_FETCH: u32 = 1 << 4;

impl Td<'_> {
    pub(super) fn nested_page_fault(&mut self, fault: NestedFault) -> Outcome {
        let access = access(fault);
        let is_shared = fault.gpa & self.shared_mask != 0;
        let id = self.vcpu.id;
        match self.module.translate(self.hardware, id, fault.gpa, access) {
            Translation::Mapped { .. } if is_shared && fault.fetch => self.fetch_from_shared(fault),
            Translation::Mapped { hpa, level, writable, executable } => {
                let page = Page {
                    gpa: fault.gpa,
                    hpa,
                    level,
                    writable,
                    executable: executable && !is_shared,
                    shared: is_shared,
                };
                self.hardware.map_for_td(id.tdr, page);
                Outcome::Retry
            }
            Translation::Violation(violation) => {
                let fault = EptFault {
                    gpa: fault.gpa,
                    gla: wants_linear(violation).then(|| self.linear(fault)).flatten(),
                    access,
                    page_walk: fault.in_walk,
                    user: self.vcpu.mode().cpl == 3,
                    delivering: Event::interrupted_vector(
                        self.vcpu.vmcb.get().control.exit_int_info,
                    ),
                };
                self.module.ept_violation(self.hardware, id, fault, violation)
            }
        }
    }

    /// A TD does not run code from shared memory: the CPU takes the shared bit for a
    /// reserved one. Intel's documents say so; the module's source does not show it.
    /// [ABI-G 10]
    fn fetch_from_shared(&mut self, fault: NestedFault) -> Outcome {
        let user = if self.vcpu.mode().cpl == 3 { PF_USER } else { 0 };
        let rip = self.vcpu.vmcb.get().save.rip;
        let cr2 = self.linear(fault).unwrap_or(rip);
        let error = PF_PRESENT | PF_RESERVED | PF_FETCH | user;
        Outcome::Inject(Exception::Pf { cr2, error })
    }

    /// The linear address of the access.
    fn linear(&mut self, fault: NestedFault) -> Option<u64> {
        let regs = *self.vcpu.gprs.get();
        let vmcb = self.vcpu.vmcb.get();
        let memory = TdMemory { module: self.module, hardware: self.hardware, vcpu: self.vcpu.id };
        let cause = match Event::interrupted_vector(vmcb.control.exit_int_info) {
            Some(vector) => Cause::Delivery(vector),
            None if fault.fetch => Cause::Fetch,
            None => Cause::Execution,
        };
        let instruction = fetch::instruction(&memory, &vmcb.save);
        let fault = Fault {
            gpa: fault.gpa,
            in_walk: fault.in_walk,
            cause,
            instruction: instruction.as_ref(),
            regs: &regs,
            save: &vmcb.save,
        };
        linear::find(&memory, &fault)
    }
}

/// A nested walk reports every access to a guest paging structure as a write, and so
/// does the EPT of a CPU that keeps accessed bits. [SVM B2]
const fn access(fault: NestedFault) -> Access {
    Access {
        read: fault.in_walk || !fault.write && !fault.fetch,
        write: fault.write,
        execute: fault.fetch && !fault.in_walk,
    }
}

/// The linear address is only ever seen in #VE and #PF.
fn wants_linear(violation: Violation) -> bool {
    matches!(
        violation.kind,
        ViolationKind::BeyondWidth
            | ViolationKind::Private(SeptState::Pending)
            | ViolationKind::Shared { suppress_ve: false }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_wants_what_was_tried() {
        let fault = NestedFault { gpa: 0, write: false, fetch: false, in_walk: false };
        assert_eq!(access(fault), Access { read: true, ..Access::default() });
        let write = NestedFault { write: true, ..fault };
        assert_eq!(access(write), Access { write: true, ..Access::default() });
        let fetch = NestedFault { fetch: true, ..fault };
        assert_eq!(access(fetch), Access { execute: true, ..Access::default() });
        let walk = NestedFault { write: true, in_walk: true, ..fault };
        assert_eq!(access(walk), Access { read: true, write: true, execute: false });
    }
}
