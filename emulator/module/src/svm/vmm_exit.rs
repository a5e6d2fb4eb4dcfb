//! The VMM's exits other than SEAMCALL: what the CPU underneath must not show.

use abi::{Gpr, Regs};

use super::cpu;
use super::decode::{Instruction, Map};
use super::exit::Exit;
use super::fetch;
use super::hardware::Hardware;
use super::inject::{self, Event};
use super::log;
use super::memory::GuestPhysical;
use super::vmcb::{cr0, cr4, efer};
use super::vmm::Vmm;
use super::vmm_map::View;
use super::vmx_instruction;
use crate::Module;
use crate::machine::Machine;
use crate::pamt::PageType;

/// What the run loop does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Run the VMM on.
    Resume,
    /// Serve SEAMCALL, an instruction of this length.
    Seamcall(u8),
}

/// The VMM's physical memory is the machine's.
pub(super) struct VmmMemory<'a>(pub &'a Hardware);

impl GuestPhysical for VmmMemory<'_> {
    fn read_u64(&self, gpa: u64) -> Option<u64> {
        Some(Machine::read_u64(self.0, gpa))
    }

    fn read(&self, gpa: u64, buf: &mut [u8]) -> bool {
        Machine::read(self.0, gpa, buf);
        true
    }
}

/// Handles the exit that the VMM stopped with.
pub(super) fn handle(vmm: &mut Vmm, module: &Module, hardware: &mut Hardware) -> Next {
    let control = &vmm.vmcb.get().control;
    let exit = Exit::parse(control);
    let interrupted = Event::interrupted(control.exit_int_info);
    // What is injected below replaces it: contributory faults of the VMM itself do not
    // come here, so this is only ever a nested page fault.
    vmm.vmcb.get().control.event_injection = interrupted.0;
    match exit {
        Exit::InvalidOpcode => return vmx_instruction::invalid_opcode(vmm, module, hardware),
        Exit::Cpuid => cpuid(vmm, hardware),
        Exit::Rdmsr => read_msr(vmm, hardware),
        Exit::Wrmsr => write_msr(vmm, hardware),
        Exit::Cr4Write => write_cr4(vmm, hardware),
        Exit::CrRead => read_cr(vmm, hardware),
        Exit::SvmInstruction => inject(vmm, Event::UD),
        Exit::NestedPageFault(fault) => nested_page_fault(vmm, module, hardware, fault.gpa),
        Exit::Smi | Exit::Init => leaves_the_map(vmm, exit),
        Exit::Shutdown => shutdown(vmm),
        other => log::die(format_args!("the VMM stopped with {other:x?}")),
    }
    Next::Resume
}

/// Makes the next run start with `event`.
pub(super) fn inject(vmm: &mut Vmm, event: Event) {
    vmm.vmcb.get().control.event_injection = event.0;
}

/// The instruction at RIP. The fallback is for modes that the module does not walk.
fn instruction(vmm: &mut Vmm, hardware: &Hardware) -> Option<Instruction> {
    fetch::instruction(&VmmMemory(hardware), &vmm.vmcb.get().save)
}

fn finish(vmm: &mut Vmm, hardware: &Hardware, usual_length: u8) {
    let length = instruction(vmm, hardware).map_or(usual_length, |found| found.length);
    inject::finish_instruction(vmm.vmcb.get(), length);
}

/// The machine's CPUID without SVM, with VMX, and with the bits that mirror the VMM's CR4.
#[expect(unsafe_code, reason = "CPUID under the VMM's XCR0")]
fn cpuid(vmm: &mut Vmm, hardware: &Hardware) {
    let cr4 = vmm.vmcb.get().save.cr4;
    let Regs { rax, rcx, .. } = *vmm.gprs.get();
    let (leaf, subleaf) = (rax as u32, rcx as u32);
    // SAFETY: the VMM ran with this XCR0.
    let mut answer = unsafe { cpu::cpuid_with_xcr0(leaf, subleaf, vmm.xcr0) };
    let mirror = |value: &mut u32, bit: u32, set: bool| {
        *value = *value & !(1 << bit) | u32::from(set) << bit;
    };
    match (leaf, subleaf) {
        (1, _) => {
            mirror(&mut answer[2], 5, true);
            mirror(&mut answer[2], 27, cr4 & cr4::OSXSAVE != 0);
        }
        (7, 0) => mirror(&mut answer[2], 4, cr4 & cr4::PKE != 0),
        (0x8000_0001, _) => answer[2] &= !(1 << 2),
        (0x8000_000A, _) => answer = [0; 4],
        _ => {}
    }
    let gprs = vmm.gprs.get();
    let [eax, ebx, ecx, edx] = answer.map(u64::from);
    (gprs.rax, gprs.rbx, gprs.rcx, gprs.rdx) = (eax, ebx, ecx, edx);
    finish(vmm, hardware, 2);
}

const MSR_KEYID_PARTITIONING: u64 = 0x87;
const MSR_EFER: u64 = 0xC000_0080;

fn read_msr(vmm: &mut Vmm, hardware: &Hardware) {
    let value = match vmm.gprs.get().rcx & 0xFFFF_FFFF {
        MSR_KEYID_PARTITIONING => Some(vmm.vmx.keyid_partitioning()),
        MSR_EFER => Some(vmm.vmcb.get().save.efer & !efer::SVME),
        index => vmm.vmx.read_msr(index as u32),
    };
    let Some(value) = value else { return inject(vmm, Event::GP) };
    let gprs = vmm.gprs.get();
    (gprs.rax, gprs.rdx) = (value & 0xFFFF_FFFF, value >> 32);
    finish(vmm, hardware, 2);
}

fn write_msr(vmm: &mut Vmm, hardware: &Hardware) {
    const WRITABLE: u64 = efer::SCE | efer::LME | efer::LMA | efer::NXE;
    let Regs { rax, rcx, rdx, .. } = *vmm.gprs.get();
    let value = rdx << 32 | rax & 0xFFFF_FFFF;
    let save = &mut vmm.vmcb.get().save;
    let toggles_lme = (save.efer ^ value) & efer::LME != 0 && save.cr0 & cr0::PG != 0;
    if rcx & 0xFFFF_FFFF != MSR_EFER || value & !WRITABLE != 0 || toggles_lme {
        return inject(vmm, Event::GP);
    }
    save.efer = value & !efer::LMA | save.efer & efer::LMA | efer::SVME;
    finish(vmm, hardware, 2);
}

/// MOV to CR4: VMXE is kept aside, the rest is the CPU's.
fn write_cr4(vmm: &mut Vmm, hardware: &Hardware) {
    let Some(found) = instruction(vmm, hardware) else { return inject(vmm, Event::UD) };
    let value = vmm.gprs.get()[found.rm()];
    let save = &mut vmm.vmcb.get().save;
    let value = if save.is_long64() { value } else { value & 0xFFFF_FFFF };
    let is_fixed = !vmm.vmx.allows_cr4(value);
    let is_long = save.efer & efer::LMA != 0;
    let changes = save.cr4 ^ value;
    let is_illegal = is_fixed
        || value & !(cpu::supported_cr4() | cr4::VMXE) != 0
        || is_long && (value & cr4::PAE == 0 || changes & cr4::LA57 != 0)
        || changes & value & cr4::PCIDE != 0 && (!is_long || save.cr3 & 0xFFF != 0);
    if is_illegal {
        return inject(vmm, Event::GP);
    }
    save.cr4 = value & !cr4::VMXE;
    vmm.vmx.cr4_written(value);
    let control = &mut vmm.vmcb.get().control;
    // CR reads exit only while there is something to add. QEMU 10 has one bit for all
    // of them. [SVM B1.3]
    control.intercept_cr_read = if value & cr4::VMXE != 0 { 1 << 4 | 1 } else { 0 };
    inject::finish_instruction(vmm.vmcb.get(), found.length);
}

/// MOV from a control register or SMSW, while CR4.VMXE reads as 1.
fn read_cr(vmm: &mut Vmm, hardware: &Hardware) {
    let Some(found) = instruction(vmm, hardware) else { return inject(vmm, Event::UD) };
    let is_mov = found.map == Map::Two && found.opcode == 0x20;
    let (rm, save) = (found.rm(), &vmm.vmcb.get().save);
    let (cr0, cr2, cr3, cr4) = (save.cr0, save.cr2, save.cr3, save.cr4);
    let value = match (is_mov, found.reg()) {
        (true, 2) => cr2,
        (true, 3) => cr3,
        (true, 4) => cr4 | if vmm.vmx.vmxe() { cr4::VMXE } else { 0 },
        (true, 8) => cpu::cr8(),
        _ => cr0,
    };
    if !is_mov && found.memory.is_some() {
        // SMSW to memory: nobody has a reason to, and it is not worth a memory write here.
        return inject(vmm, Event::UD);
    }
    write_gpr(vmm.gprs.get(), rm, value, if is_mov { 64 } else { found.operand_bits });
    inject::finish_instruction(vmm.vmcb.get(), found.length);
}

/// Writes a register as an operand of this many bits does.
pub(super) fn write_gpr(gprs: &mut Regs, gpr: Gpr, value: u64, bits: u8) {
    gprs[gpr] = match bits {
        64 => value,
        32 => value & 0xFFFF_FFFF,
        _ => gprs[gpr] & !0xFFFF | value & 0xFFFF,
    };
}

/// The VMM touched `gpa`: a machine check, unless it is its own.
pub(super) fn nested_page_fault(vmm: &mut Vmm, module: &Module, hardware: &mut Hardware, gpa: u64) {
    let view = hardware.vmm_touched(gpa);
    if view == View::Own {
        return;
    }
    let rip = vmm.vmcb.get().save.rip;
    let slot = module.pamt_walk(hardware, gpa).filter(|slot| slot.page_type().is_owned());
    match slot {
        Some(slot) if slot.page_type() == PageType::TDR => {
            log::line(format_args!("the VMM touched {gpa:#x}, a TD's TDR, at rip {rip:#x}"));
        }
        Some(slot) => log::line(format_args!(
            "the VMM touched {gpa:#x}, owned by the TD of TDR {:#x}, at rip {rip:#x}",
            slot.owner()
        )),
        None if view == View::TooFar => log::line(format_args!(
            "the VMM touched {gpa:#x}, one address too many far from the others, at rip {rip:#x}"
        )),
        None => log::line(format_args!(
            "the VMM touched {gpa:#x}, owned by the module, at rip {rip:#x}"
        )),
    }
    vmm.was_stopped = true;
    inject(vmm, Event::MC);
}

/// INIT and SMI make the CPU run outside of the VMM's map: the reset vector, or an SMM
/// handler with a save area wherever it likes. They stay pending, so this is the end.
fn leaves_the_map(vmm: &mut Vmm, exit: Exit) -> ! {
    let rip = vmm.vmcb.get().save.rip;
    log::line(format_args!(
        "the VMM met {exit:?}, which its map does not survive, at rip {rip:#x}"
    ));
    log::end(abi::verdict::VMM_STOPPED);
}

fn shutdown(vmm: &mut Vmm) -> ! {
    let rip = vmm.vmcb.get().save.rip;
    log::line(format_args!("the VMM shut down (triple fault) at rip {rip:#x}"));
    log::end(if vmm.was_stopped {
        abi::verdict::VMM_STOPPED
    } else {
        abi::verdict::EMULATOR_FAILED
    });
}
