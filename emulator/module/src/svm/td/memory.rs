//! A TD's memory as its own CPU reaches it: for its page tables and its code.

use super::super::hardware::Hardware;
use super::super::memory::GuestPhysical;
use crate::machine::{Machine, VcpuId};
use crate::{Access, Module, Translation};

/// The memory of a vCPU's TD.
#[derive(Clone, Copy, Debug)]
pub(super) struct TdMemory<'a> {
    /// Who translates.
    pub module: &'a Module,
    /// Where it is.
    pub hardware: &'a Hardware,
    /// Whose it is.
    pub vcpu: VcpuId,
}

impl TdMemory<'_> {
    /// What the nested page tables hold was translated before.
    fn translate(&self, gpa: u64) -> Option<u64> {
        let read = Access { read: true, ..Access::default() };
        self.hardware.find_for_td(self.vcpu.tdr, gpa).or_else(|| {
            match self.module.translate(self.hardware, self.vcpu, gpa, read) {
                Translation::Mapped { hpa, .. } => Some(hpa),
                Translation::Violation(_) => None,
            }
        })
    }
}

impl GuestPhysical for TdMemory<'_> {
    fn read_u64(&self, gpa: u64) -> Option<u64> {
        Some(Machine::read_u64(self.hardware, self.translate(gpa)?))
    }

    fn read(&self, gpa: u64, buf: &mut [u8]) -> bool {
        let Some(hpa) = self.translate(gpa) else { return false };
        Machine::read(self.hardware, hpa, buf);
        true
    }
}
