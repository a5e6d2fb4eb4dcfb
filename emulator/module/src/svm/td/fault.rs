//! Nested page faults of a TD: fill the map, or EPT violation. [ABI-G 10]

use super::super::decode::Instruction;
use super::super::exit::NestedFault;
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
                let instruction = self.instruction();
                let gla = wants_linear(violation).then(|| self.linear(fault, instruction.as_ref()));
                let is_event = self.cause(fault) != Cause::Execution;
                let fault = EptFault {
                    gpa: fault.gpa,
                    gla: gla.flatten(),
                    access: of_instruction(access, instruction.filter(|_| !is_event)),
                    page_walk: fault.in_walk,
                    user: self.vcpu.mode().cpl == 3,
                    delivering: Event::interrupted_vector(
                        self.vcpu.vmcb.get().control.exit_int_info,
                    ),
                    nmi_blocked: self.nmis_are_blocked(),
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
        let instruction = self.instruction();
        let cr2 = self.linear(fault, instruction.as_ref()).unwrap_or(rip);
        let error = PF_PRESENT | PF_RESERVED | PF_FETCH | user;
        Outcome::Inject(Exception::Pf { cr2, error })
    }

    fn cause(&mut self, fault: NestedFault) -> Cause {
        match Event::interrupted_vector(self.vcpu.vmcb.get().control.exit_int_info) {
            Some(vector) => Cause::Delivery(vector),
            None if fault.fetch => Cause::Fetch,
            None => Cause::Execution,
        }
    }

    /// The linear address of the access.
    fn linear(&mut self, fault: NestedFault, instruction: Option<&Instruction>) -> Option<u64> {
        let regs = *self.vcpu.gprs.get();
        let cause = self.cause(fault);
        let save = &self.vcpu.vmcb.get().save;
        let memory = TdMemory { module: self.module, hardware: self.hardware, vcpu: self.vcpu.id };
        let NestedFault { gpa, in_walk, .. } = fault;
        linear::find(&memory, &Fault { gpa, in_walk, cause, instruction, regs: &regs, save })
    }
}

/// The CPU underneath reads first and reports a read where an instruction reads and then
/// writes; Intel's report a write, and perhaps a read. [SDM3 28.2.1]
fn of_instruction(access: Access, instruction: Option<Instruction>) -> Access {
    let reads = Access { read: true, ..Access::default() };
    let writes_back = instruction.is_some_and(|instruction| instruction.reads_and_writes());
    Access { write: access.write || access == reads && writes_back, ..access }
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
    use super::super::super::decode::{CodeMode, decode};
    use super::*;

    #[test]
    fn a_read_and_write_is_a_write() {
        let or = decode(&[0x09, 0x07], CodeMode::Long64);
        let cmp = decode(&[0x39, 0x07], CodeMode::Long64);
        let read = Access { read: true, ..Access::default() };
        let write = Access { write: true, ..Access::default() };
        let fetch = Access { execute: true, ..Access::default() };
        assert_eq!(of_instruction(read, or), Access { read: true, ..write });
        assert_eq!(of_instruction(write, or), write);
        for (access, instruction) in [(read, cmp), (read, None), (write, cmp), (fetch, or)] {
            assert_eq!(of_instruction(access, instruction), access);
        }
    }

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
