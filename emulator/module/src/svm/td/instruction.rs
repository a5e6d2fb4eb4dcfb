//! Instructions that a TD may not execute, or not as the CPU would. [ABI-G 1, 5]

use abi::ExitReason;
use abi::leaf::tdg;

use super::super::cpu;
use super::super::decode::{Instruction, Map};
use super::super::inject;
use super::super::log;
use super::run::Td;
use crate::machine::{CpuMode, Exception, Outcome, TdExit};
use crate::tdvps::Tdvps;
use crate::virt::cpuid::{self, CpuidAnswer, CpuidVcpu, Feature};
use crate::virt::xcr;

/// Last byte of `0F 01` opcodes.
const VMCALL: u8 = 0xC1;
const PCONFIG: u8 = 0xC5;
const TDCALL: u8 = 0xCC;

impl Td<'_> {
    /// #VE for `instruction`, with qualification 0.
    pub(super) fn plain_ve(&mut self, reason: ExitReason, instruction: &Instruction) -> Outcome {
        self.ve(reason, 0, instruction, 0)
    }

    /// #VE for `instruction`.
    pub(super) fn ve(
        &mut self,
        reason: ExitReason,
        qualification: u64,
        instruction: &Instruction,
        info: u32,
    ) -> Outcome {
        let length = u32::from(instruction.length);
        let id = self.vcpu.id;
        self.module.instruction_ve(self.hardware, id, reason, qualification, length, info)
    }

    /// The instruction is none.
    pub(super) const fn invalid() -> Outcome {
        Outcome::Inject(Exception::Ud)
    }

    /// Any #UD of the CPU: TDCALL and VMCALL are among them.
    pub(super) fn invalid_opcode(&mut self) -> Outcome {
        let Some(found) = self.instruction() else { return Self::invalid() };
        if found.is_0f01(TDCALL, true) {
            return self.tdcall(&found);
        }
        if found.is_0f01(VMCALL, false) {
            return self.plain_ve(ExitReason::VMCALL, &found);
        }
        let has_pconfig = || cpuid::shows(Feature::Pconfig, &self.features, &cpu::cpuid);
        if found.is_0f01(PCONFIG, false) && has_pconfig() && self.vcpu.mode().cpl == 0 {
            return self.plain_ve(ExitReason::PCONFIG, &found);
        }
        Self::invalid()
    }

    fn tdcall(&mut self, found: &Instruction) -> Outcome {
        let mode = self.vcpu.mode();
        let leaf = self.vcpu.gprs.get().rax & 0xFFFF;
        let outcome = self.module.tdcall(self.hardware, self.vcpu.id, &mode);
        log::injection(self.module);
        if outcome.finishes_tdcall() {
            inject::finish_instruction(self.vcpu.vmcb.get(), found.length);
        }
        if leaf == tdg::VP_INFO && outcome == Outcome::Done {
            self.log_counts();
        }
        outcome
    }

    pub(super) fn cpuid(&mut self) -> Outcome {
        let Some(found) = self.instruction() else { return Self::invalid() };
        let mode = self.vcpu.mode();
        let tdvps = Tdvps::load(self.hardware, self.vcpu.id.tdvpr);
        let vcpu = CpuidVcpu {
            index: tdvps.index,
            xss: self.vcpu.state.get().msrs.xss,
            supervisor_ve: tdvps.cpuid_supervisor_ve != 0,
            user_ve: tdvps.cpuid_user_ve != 0,
            control: &tdvps.cpuid_control,
        };
        let (leaf, subleaf) = (tdvps.gprs.rax as u32, tdvps.gprs.rcx as u32);
        let right = match cpuid::answer(leaf, subleaf, &self.features, &mode, &vcpu, &cpu::cpuid) {
            CpuidAnswer::Values(values) => Some(values),
            CpuidAnswer::Ve => None,
        };
        match self.module.spoiled_cpuid(leaf, subleaf, right) {
            Some(values) => {
                let [eax, ebx, ecx, edx] = values.map(u64::from);
                let gprs = self.vcpu.gprs.get();
                (gprs.rax, gprs.rbx, gprs.rcx, gprs.rdx) = (eax, ebx, ecx, edx);
                self.finish(&found)
            }
            None => self.plain_ve(ExitReason::CPUID, &found),
        }
    }

    pub(super) fn hlt(&mut self) -> Outcome {
        self.privileged_ve(ExitReason::HLT)
    }

    /// INVD, WBINVD, WBNOINVD. One QEMU reports all as WBINVD, another does so before
    /// the privilege check. [SVM B2, B1.13]
    pub(super) fn cache_flush(&mut self) -> Outcome {
        const INVD: u8 = 0x08;
        let is_invd = self.instruction().is_some_and(|i| i.map == Map::Two && i.opcode == INVD);
        self.privileged_ve(if is_invd { ExitReason::INVD } else { ExitReason::WBINVD })
    }

    /// Exits only if CPUID does not show it.
    pub(super) fn monitor(&mut self) -> Outcome {
        if self.vcpu.mode().cpl != 0 {
            return Self::invalid();
        }
        self.privileged_ve(ExitReason::MONITOR)
    }

    /// Exits only if CPUID does not show it; nothing can have armed a monitor then.
    pub(super) fn mwait(&mut self) -> Outcome {
        if self.vcpu.mode().cpl != 0 {
            return Self::invalid();
        }
        self.privileged_ve(ExitReason::MWAIT)
    }

    fn privileged_ve(&mut self, reason: ExitReason) -> Outcome {
        if self.vcpu.mode().cpl != 0 {
            return Outcome::Inject(Exception::Gp);
        }
        match self.instruction() {
            Some(found) => self.plain_ve(reason, &found),
            None => Self::invalid(),
        }
    }

    /// ATTRIBUTES.PERFMON cannot be set on this platform.
    pub(super) const fn rdpmc() -> Outcome {
        Outcome::Inject(Exception::Gp)
    }

    pub(super) fn xsetbv(&mut self) -> Outcome {
        let Some(found) = self.instruction() else { return Self::invalid() };
        let mode: CpuMode = self.vcpu.mode();
        let gprs = self.vcpu.gprs.get();
        let value = gprs.rdx << 32 | gprs.rax & 0xFFFF_FFFF;
        match xcr::xsetbv(gprs.rcx as u32, value, &self.features, &mode) {
            Ok(value) => {
                self.vcpu.state.get().xcr0 = value;
                self.finish(&found)
            }
            Err(exception) => Outcome::Inject(exception),
        }
    }

    /// A task switch leaves the TD; the VMM can only enter again. [ABI-G 5]
    pub(super) fn task_switch(&mut self) -> Outcome {
        /// EXITINFO2: the switch comes from IRET, from a far jump, has an error code.
        const IRET: u32 = 36;
        const JUMP: u32 = 38;
        let control = &self.vcpu.vmcb.get().control;
        let has = |bit: u32| control.exit_info2 >> bit & 1 == 1;
        let source: u64 = match (control.exit_int_info >> 31 & 1 == 1, has(IRET), has(JUMP)) {
            (true, ..) => 3,
            (_, true, _) => 1,
            (_, _, true) => 2,
            _ => 0,
        };
        Outcome::Exit(TdExit::Async {
            class: 0,
            reason: u32::from(ExitReason::TASK_SWITCH.0),
            qualification: control.exit_info1 & 0xFFFF | source << 30,
            extended: 0,
            gpa: 0,
            interruption: 0,
        })
    }
}
