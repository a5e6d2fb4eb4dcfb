//! The loop inside TDH.VP.ENTER.

use abi::Status;

use super::super::cpu;
use super::super::decode::Instruction;
use super::super::exit::Exit;
use super::super::fetch;
use super::super::hardware::Hardware;
use super::super::inject::{self, Event};
use super::super::log;
use super::super::vmm::Vmm;
use super::super::world_switch::Host;
use super::memory::TdMemory;
use super::vcpu::{Policy, Vcpu};
use crate::machine::{Exception, Outcome, TdExit, VcpuId};
use crate::virt::TdFeatures;
use crate::virt::cpuid::{Feature, shows};
use crate::{Module, TdInfo};
use abi::attributes::{Attributes, ConfigFlags, Xfam};

/// Exit reason of an SMI that no I/O instruction made. [SDM3 appendix C]
const OTHER_SMI: u16 = 6;

/// Everything an exit's handling needs.
#[derive(Debug)]
pub(super) struct Td<'a> {
    pub module: &'a mut Module,
    pub hardware: &'a mut Hardware,
    pub vcpu: Vcpu,
    pub features: TdFeatures,
    pub shared_mask: u64,
}

/// Runs a vCPU until it leaves the TD; the VMM's registers then hold the TD exit.
pub(crate) fn until_exit(
    vmm: &mut Vmm,
    module: &mut Module,
    hardware: &mut Hardware,
    host: &Host,
    id: VcpuId,
) {
    let info = module.td_info(hardware, id);
    let features = features(&info);
    let policy = Policy {
        ports: vmm.td_ports,
        msrs: vmm.td_msrs,
        tsc_offset: info.tsc_offset,
        has_monitor: shows(Feature::Monitor, &features, &cpu::cpuid),
    };
    let vcpu = Vcpu::new(hardware, id);
    let shared_mask = 1 << (info.gpa_width - 1);
    let mut td = Td { module, hardware, vcpu, features, shared_mask };
    td.vcpu.enter(&policy);
    if td.module.takes_ve_at_entry(td.hardware, id) {
        inject::fault(td.vcpu.vmcb.get(), Exception::Ve);
    }
    td.take_posted_interrupts();
    let exit = td.run(host);
    td.vcpu.leave();
    let xcr0 = td.features.xcr0_mask() & host.xcr0();
    module.td_exit(hardware, id, exit, vmm.registers());
    vmm.after_td_exit(xcr0);
    if is_the_end(exit) {
        log::counts_at_end(&module.counts(hardware, id.tdr));
    }
}

fn is_the_end(exit: TdExit) -> bool {
    matches!(exit, TdExit::Async { class, .. } if Status(u64::from(class) << 32) != Status::SUCCESS)
}

impl Td<'_> {
    fn run(&mut self, host: &Host) -> TdExit {
        loop {
            self.prepare_interrupts();
            self.vcpu.run(host, self.hardware, &self.features);
            let exit = Exit::parse(&self.vcpu.vmcb.get().control);
            self.note_nmi_progress(exit);
            if is_of_tdx(exit) {
                self.module.vm_exit(self.hardware, self.vcpu.id);
            }
            let outcome = self.handle(exit);
            if let Some(exit) = self.act(outcome) {
                return exit;
            }
        }
    }

    /// One exit, one handler.
    fn handle(&mut self, exit: Exit) -> Outcome {
        match exit {
            Exit::NestedPageFault(fault) => self.nested_page_fault(fault),
            Exit::InvalidOpcode => self.invalid_opcode(),
            Exit::Cpuid => self.cpuid(),
            Exit::Rdmsr => self.read_msr(),
            Exit::Wrmsr => self.write_msr(),
            Exit::Io => self.port_io(),
            Exit::Hlt => self.hlt(),
            Exit::CacheFlush => self.cache_flush(),
            Exit::Monitor => self.monitor(),
            Exit::Mwait => self.mwait(),
            Exit::Rdpmc => Self::rdpmc(),
            Exit::Xsetbv => self.xsetbv(),
            Exit::Cr0Write => self.cr0_write(),
            Exit::Cr4Write => self.cr4_write(),
            Exit::Cr8Write => self.cr8_write(),
            Exit::Interrupt => self.physical_interrupt(),
            Exit::Nmi => Self::physical_nmi(),
            Exit::InterruptWindow => Outcome::Retry,
            Exit::Iret => self.iret(),
            Exit::Shutdown => self.shutdown(),
            Exit::SvmInstruction | Exit::Rsm => Self::invalid(),
            Exit::Smi => Outcome::Exit(plain_exit(OTHER_SMI, 0)),
            Exit::Init => Outcome::Exit(plain_exit(abi::ExitReason::INIT.0, 0)),
            Exit::TaskSwitch => self.task_switch(),
            Exit::CrRead | Exit::Other(_) => self.unexpected(exit),
        }
    }

    /// Does what the outcome says. An event that the exit interrupted is delivered
    /// again, unless an exception takes its place. [ABI-G 5, 14]
    fn act(&mut self, outcome: Outcome) -> Option<TdExit> {
        let vmcb = self.vcpu.vmcb.get();
        if vmcb.control.event_injection == 0 {
            vmcb.control.event_injection = Event::interrupted(vmcb.control.exit_int_info).0;
        }
        match outcome {
            Outcome::Done | Outcome::Retry => None,
            Outcome::Inject(exception) => {
                inject::fault(vmcb, exception);
                None
            }
            Outcome::Exit(exit) => Some(exit),
        }
    }

    /// The instruction at RIP.
    pub(super) fn instruction(&mut self) -> Option<Instruction> {
        let id = self.vcpu.id;
        let memory = TdMemory { module: self.module, hardware: self.hardware, vcpu: id };
        fetch::instruction(&memory, &self.vcpu.vmcb.get().save)
    }

    /// RIP moves past the instruction.
    pub(super) fn finish(&mut self, instruction: &Instruction) -> Outcome {
        inject::finish_instruction(self.vcpu.vmcb.get(), instruction.length);
        Outcome::Done
    }

    /// Prints the counters after TDG.VP.INFO.
    pub(super) fn log_counts(&mut self) {
        let counts = self.module.counts(self.hardware, self.vcpu.id.tdr);
        let calls = counts.tdcall(abi::leaf::tdg::VP_INFO);
        log::line(format_args!("counts at vp_info {calls} {counts}"));
    }

    /// A triple fault: this vCPU never runs again.
    fn shutdown(&mut self) -> Outcome {
        let save = &self.vcpu.vmcb.get().save;
        log::line(format_args!(
            "a TD's vCPU shut down (triple fault) at rip {:#x}, cr2 {:#x}, cr3 {:#x}",
            save.rip, save.cr2, save.cr3
        ));
        Outcome::Exit(crate::triple_fault())
    }

    /// An exit that the intercepts do not allow: the TD dies, the module lives.
    fn unexpected(&mut self, exit: Exit) -> Outcome {
        /// VM-entry failure due to invalid guest state.
        const ENTRY_FAILURE: u32 = 1 << 31 | 33;
        let rip = self.vcpu.vmcb.get().save.rip;
        log::line(format_args!("error: unexpected exit {exit:x?} of a TD at rip {rip:#x}"));
        Outcome::Exit(TdExit::Async {
            class: (Status::NON_RECOVERABLE_TD.0 >> 32) as u32,
            reason: ENTRY_FAILURE,
            qualification: 0,
            extended: 0,
            gpa: 0,
            interruption: 0,
        })
    }
}

/// Whether a CPU with TDX would have left the TD here too. TDCALLs and nested page faults
/// are told apart where they are handled.
const fn is_of_tdx(exit: Exit) -> bool {
    !matches!(
        exit,
        Exit::NestedPageFault(_)
            | Exit::InvalidOpcode
            | Exit::InterruptWindow
            | Exit::Iret
            | Exit::Cr8Write
    )
}

/// A resumable TD exit with nothing but a reason and interruption information.
pub(super) fn plain_exit(reason: u16, interruption: u64) -> TdExit {
    let reason = u32::from(reason);
    TdExit::Async { class: 0, reason, qualification: 0, extended: 0, gpa: 0, interruption }
}

/// What the policies of `virt` go by.
fn features(info: &TdInfo) -> TdFeatures {
    TdFeatures {
        attributes: Attributes::from_bits_retain(info.attributes),
        xfam: Xfam::from_bits_retain(info.xfam),
        config_flags: ConfigFlags::from_bits_retain(info.config_flags),
        tsc_frequency_25mhz: info.tsc_frequency_25mhz,
        cpuid_config: info.cpuid_config,
        arch_capabilities_config: info.arch_capabilities_config.unwrap_or(0),
    }
}
