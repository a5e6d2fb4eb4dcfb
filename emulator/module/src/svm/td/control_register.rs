//! Writes of CR0, CR4 and CR8: the policy is `virt::cr`'s. [ABI-G 7]

use abi::ExitReason;

use super::super::cpu;
use super::super::decode::{Instruction, Map};
use super::super::linear::linear;
use super::super::vmcb::int_control;
use super::super::walk::{Paging, read_linear};
use super::memory::TdMemory;
use super::run::Td;
use crate::machine::{Exception, Outcome};
use crate::virt::apic::Vapic;
use crate::virt::cr::{self, CrWrite};

/// What the instruction is: SVM reports all three as a write of CR0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Mov,
    Clts,
    Lmsw,
}

fn form(instruction: &Instruction) -> Option<Form> {
    match (instruction.map, instruction.opcode, instruction.reg() & 7) {
        (Map::Two, 0x22, _) => Some(Form::Mov),
        (Map::Two, 0x06, _) => Some(Form::Clts),
        (Map::Two, 0x01, 6) => Some(Form::Lmsw),
        _ => None,
    }
}

/// Exit qualification of MOV to CR`number`. [ABI-G 5]
fn qualification(number: u64, instruction: &Instruction) -> u64 {
    number | (instruction.rm() as u64) << 8
}

impl Td<'_> {
    pub(super) fn cr0_write(&mut self) -> Outcome {
        let Some(found) = self.instruction() else { return Self::invalid() };
        let mode = self.vcpu.mode();
        let answer = match form(&found) {
            Some(Form::Mov) => cr::write_cr0(self.mov_source(&found), &mode),
            Some(Form::Clts) => CrWrite::Write(cr::clts(mode.cr0)),
            Some(Form::Lmsw) => match self.lmsw_source(&found) {
                Some(source) => CrWrite::Write(cr::lmsw(mode.cr0, source)),
                None => return Outcome::Retry,
            },
            None => return Self::invalid(),
        };
        match answer {
            CrWrite::Write(value) => {
                let save = &mut self.vcpu.vmcb.get().save;
                save.cr0 = value;
                save.efer = cr::efer_for_cr0(save.efer, value);
                self.hardware.flush_tlb();
                self.finish(&found)
            }
            CrWrite::Gp => Outcome::Inject(Exception::Gp),
            CrWrite::Ve => self.ve(ExitReason::CR_ACCESS, qualification(0, &found), &found, 0),
        }
    }

    pub(super) fn cr4_write(&mut self) -> Outcome {
        let Some(found) = self.instruction() else { return Self::invalid() };
        if form(&found) != Some(Form::Mov) {
            return Self::invalid();
        }
        let (new, mode) = (self.mov_source(&found), self.vcpu.mode());
        match cr::write_cr4(new, &mode, &self.features, &cpu::cpuid) {
            CrWrite::Write(value) => {
                self.vcpu.vmcb.get().save.cr4 = value;
                self.hardware.flush_tlb();
                self.finish(&found)
            }
            CrWrite::Gp => Outcome::Inject(Exception::Gp),
            CrWrite::Ve => self.ve(ExitReason::CR_ACCESS, qualification(4, &found), &found, 0),
        }
    }

    pub(super) fn cr8_write(&mut self) -> Outcome {
        let Some(found) = self.instruction() else { return Self::invalid() };
        let value = self.mov_source(&found);
        match Vapic::new(self.vcpu.vapic.get()).write_cr8(value) {
            Ok(()) => self.finish(&found),
            Err(exception) => Outcome::Inject(exception),
        }
    }

    /// CR8 reads are native and come from the VMCB.
    pub(super) fn mirror_cr8(&mut self) {
        let priority = Vapic::new(self.vcpu.vapic.get()).read_cr8() as u32;
        let control = &mut self.vcpu.vmcb.get().control;
        control.int_control = control.int_control & !int_control::V_TPR | priority;
    }

    fn mov_source(&mut self, found: &Instruction) -> u64 {
        let value = self.vcpu.gprs.get()[found.rm()];
        if self.vcpu.vmcb.get().save.is_long64() { value } else { value & 0xFFFF_FFFF }
    }

    /// The word that LMSW loads. From memory, QEMU reads it before the exit and real
    /// hardware after it; if it is not there now, the page is filled in first.
    fn lmsw_source(&mut self, found: &Instruction) -> Option<u16> {
        let Some(operand) = found.memory else {
            return Some(self.vcpu.gprs.get()[found.rm()] as u16);
        };
        let regs = *self.vcpu.gprs.get();
        let save = &self.vcpu.vmcb.get().save;
        let offset = operand.offset(&regs, save.rip.wrapping_add(u64::from(found.length)));
        let (at, paging) = (linear(save, operand.segment, offset), Paging::of(save)?);
        let id = self.vcpu.id;
        let memory = TdMemory { module: self.module, hardware: self.hardware, vcpu: id };
        let mut word = [0; 2];
        let read = read_linear(&memory, paging, at, &mut word);
        (read == word.len()).then(|| u16::from_le_bytes(word))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::decode::{CodeMode, decode};
    use super::*;

    #[test]
    fn the_three_ways_to_write_cr0_are_told_apart() {
        let of = |bytes: &[u8]| decode(bytes, CodeMode::Long64).and_then(|found| form(&found));
        assert_eq!(of(&[0x0F, 0x22, 0xC0]), Some(Form::Mov));
        assert_eq!(of(&[0x0F, 0x06]), Some(Form::Clts));
        assert_eq!(of(&[0x0F, 0x01, 0xF0]), Some(Form::Lmsw));
        assert_eq!(of(&[0x0F, 0x01, 0xE0]), None);
    }

    #[test]
    fn the_qualification_names_register_and_source() {
        let mov = decode(&[0x41, 0x0F, 0x22, 0xE4], CodeMode::Long64).expect("mov cr4, r12");
        assert_eq!(qualification(4, &mov), 0xC04);
    }
}
