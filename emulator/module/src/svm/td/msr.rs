//! RDMSR and WRMSR: the policy is `virt::msr`'s, the registers are here. [ABI-G 8]

use abi::ExitReason;

use super::super::cpu;
use super::super::decode::Instruction;
use super::super::vmcb::efer;
use super::run::Td;
use crate::machine::{Exception, Outcome};
use crate::virt::apic::{ApicRead, ApicWrite, Vapic};
use crate::virt::cr;
use crate::virt::msr::{self, MsrRead, MsrWrite, NativeMsr};

impl Td<'_> {
    pub(super) fn read_msr(&mut self) -> Outcome {
        let Some(found) = self.instruction() else { return Self::invalid() };
        let index = self.vcpu.gprs.get().rcx as u32;
        let msrs = self.vcpu.state.get().msrs;
        match msr::read(index, &self.features, &msrs, &cpu::cpuid) {
            MsrRead::Value(value) => self.give(value, &found),
            MsrRead::Native(native) => {
                let value = self.read_native(native);
                self.give(value, &found)
            }
            MsrRead::Apic => match Vapic::new(self.vcpu.vapic.get()).read_msr(index) {
                ApicRead::Value(value) => self.give(value, &found),
                ApicRead::Ve => self.plain_ve(ExitReason::RDMSR, &found),
                ApicRead::Gp => Outcome::Inject(Exception::Gp),
            },
            MsrRead::Ve => self.plain_ve(ExitReason::RDMSR, &found),
            MsrRead::Gp => Outcome::Inject(Exception::Gp),
        }
    }

    pub(super) fn write_msr(&mut self) -> Outcome {
        let Some(found) = self.instruction() else { return Self::invalid() };
        let gprs = self.vcpu.gprs.get();
        let index = gprs.rcx as u32;
        let value = gprs.rdx << 32 | gprs.rax & 0xFFFF_FFFF;
        let efer = cr::read_efer(self.vcpu.vmcb.get().save.efer);
        let msrs = &mut self.vcpu.state.get().msrs;
        match msr::write(index, value, efer, &self.features, msrs, &cpu::cpuid) {
            MsrWrite::Done => {
                // The single-step rule of `finish_instruction` asks for BTF.
                let debugctl = self.vcpu.state.get().msrs.debugctl;
                self.vcpu.vmcb.get().save.debugctl = debugctl;
                self.finish(&found)
            }
            MsrWrite::Native(native, value) => {
                self.write_native(native, value);
                self.finish(&found)
            }
            MsrWrite::Apic => self.write_apic(index, value, &found),
            MsrWrite::Ve => self.plain_ve(ExitReason::WRMSR, &found),
            MsrWrite::Gp => Outcome::Inject(Exception::Gp),
        }
    }

    fn write_apic(&mut self, index: u32, value: u64, found: &Instruction) -> Outcome {
        match Vapic::new(self.vcpu.vapic.get()).write_msr(index, value) {
            ApicWrite::Done => self.finish(found),
            ApicWrite::Ve => self.plain_ve(ExitReason::WRMSR, found),
            ApicWrite::DoneThenVe(qualification) => {
                self.finish(found);
                self.ve(ExitReason::APIC_WRITE, qualification, found, 0)
            }
            ApicWrite::Gp => Outcome::Inject(Exception::Gp),
        }
    }

    /// EDX:EAX take `value`.
    fn give(&mut self, value: u64, found: &Instruction) -> Outcome {
        let gprs = self.vcpu.gprs.get();
        (gprs.rax, gprs.rdx) = (value & 0xFFFF_FFFF, value >> 32);
        self.finish(found)
    }

    fn read_native(&mut self, native: NativeMsr) -> u64 {
        let vmcb = self.vcpu.vmcb.get();
        let save = &vmcb.save;
        match native {
            NativeMsr::Tsc => cpu::tsc().wrapping_add(vmcb.control.tsc_offset),
            NativeMsr::SysenterCs => save.sysenter_cs,
            NativeMsr::SysenterEsp => save.sysenter_esp,
            NativeMsr::SysenterEip => save.sysenter_eip,
            NativeMsr::Pat => save.g_pat,
            NativeMsr::Efer => cr::read_efer(save.efer),
            NativeMsr::Star => save.star,
            NativeMsr::Lstar => save.lstar,
            NativeMsr::Fmask => save.sfmask,
            NativeMsr::FsBase => save.fs.base,
            NativeMsr::GsBase => save.gs.base,
            NativeMsr::KernelGsBase => save.kernel_gs_base,
            NativeMsr::TscAux => cpu::tsc_aux(),
        }
    }

    fn write_native(&mut self, native: NativeMsr, value: u64) {
        let save = &mut self.vcpu.vmcb.get().save;
        match native {
            // Its WRMSR is #VE: `virt::msr` never asks for this.
            NativeMsr::Tsc => {}
            NativeMsr::SysenterCs => save.sysenter_cs = value,
            NativeMsr::SysenterEsp => save.sysenter_esp = value,
            NativeMsr::SysenterEip => save.sysenter_eip = value,
            NativeMsr::Pat => save.g_pat = value,
            NativeMsr::Efer => save.efer = value | efer::SVME,
            NativeMsr::Star => save.star = value,
            NativeMsr::Lstar => save.lstar = value,
            NativeMsr::Fmask => save.sfmask = value,
            NativeMsr::FsBase => save.fs.base = value,
            NativeMsr::GsBase => save.gs.base = value,
            NativeMsr::KernelGsBase => save.kernel_gs_base = value,
            NativeMsr::TscAux => cpu::set_tsc_aux(value),
        }
    }
}
