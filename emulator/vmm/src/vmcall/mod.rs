//! VP.VMCALL as KVM and QEMU serve it, and what the configuration adds. [TDVF 4.4, 4.5]
//!
//! The registers come from the TD: each is checked before it means anything, and none can
//! make the VMM panic or loop. What a TD does not expose reads as zero; what the VMM
//! writes to a register that is not exposed is lost in the module.

pub mod cpuid;
mod fatal;
mod look;
mod map_gpa;
mod mmio;
pub mod msr;
mod ports;
mod scratch;
mod wrong;

pub use fatal::FatalText;
pub use look::Look;
pub use mmio::Ioapic;
pub use msr::Msrs;
pub use ports::{PortAnswer, Ports};
pub use scratch::Scratch;
pub use wrong::{Part, WrongAnswers};

use abi::ghci::function;
use abi::{GhciStatus, Gpa, IoWidth, Regs, SharedGpa};

use crate::end::{Death, End};
use crate::features::Features;
use crate::idle::{self, Watchdog};
use crate::interrupts;
use crate::td::{Td, Vcpu, Vmm};

/// KVM's answer to a hypercall that it does not have: -ENOSYS of its own.
const KVM_ENOSYS: u64 = -1000_i64 as u64;
/// KVM_HC_VAPIC_POLL_IRQ: does nothing, for any guest.
const KVM_HC_VAPIC_POLL_IRQ: u64 = 1;

/// Serves the call in `regs` and leaves the answer there.
///
/// # Errors
/// The call ends the run.
pub fn serve(
    vmm: &mut Vmm<'_>,
    td: &mut Td,
    vcpu: &mut Vcpu,
    watchdog: Watchdog,
    regs: &mut Regs,
) -> Result<(), End> {
    if regs.r10 != 0 {
        regs.r10 = if regs.r10 == KVM_HC_VAPIC_POLL_IRQ { 0 } else { KVM_ENOSYS };
        return Ok(());
    }
    let question = wrong::Question::of(regs, td.width.shared_mask());
    let status = match regs.r11 {
        function::CPUID => cpuid_call(vmm, regs),
        function::HLT => idle::halt(vmm, vcpu, watchdog, regs.r12 != 0)?,
        function::IO => io(vmm, td, vcpu, regs)?,
        function::RDMSR => rdmsr(vmm, vcpu, regs),
        function::WRMSR => wrmsr(vmm, vcpu, regs)?,
        function::MMIO => mmio_call(vmm, td, vcpu, regs)?,
        function::MAP_GPA => map_gpa::serve(vmm, td, vcpu, watchdog, regs)?,
        function::WBINVD if vcpu.features.contains(Features::WBINVD) => wbinvd(vmm, regs),
        function::PCONFIG if vcpu.features.contains(Features::PCONFIG) => pconfig(regs),
        function::GET_TD_VMCALL_INFO => info(regs),
        function::REPORT_FATAL_ERROR => {
            return Err(Death::Fatal { code: regs.r12, text: FatalText::from_regs(regs) }.into());
        }
        _ => GhciStatus::SUBFUNC_UNSUPPORTED,
    };
    regs.r10 = status.0;
    vcpu.wrong.spoil(question, regs);
    Ok(())
}

fn cpuid_call(vmm: &mut Vmm<'_>, regs: &mut Regs) -> GhciStatus {
    let values = cpuid::answer(vmm.cpu, regs.r12 as u32, regs.r13 as u32, crate::X2APIC_ID);
    [regs.r12, regs.r13, regs.r14, regs.r15] = values.map(u64::from);
    GhciStatus::SUCCESS
}

fn io(vmm: &mut Vmm<'_>, td: &Td, vcpu: &mut Vcpu, regs: &mut Regs) -> Result<GhciStatus, End> {
    let (Some(width), Some(is_write)) = (IoWidth::from_bytes(regs.r12), direction(regs.r13)) else {
        return Ok(GhciStatus::INVALID_OPERAND);
    };
    let port = regs.r14 as u16;
    let answer = if is_write {
        vcpu.ports.write(vmm.devices, port, width, regs.r15 as u32)
    } else {
        vcpu.ports.read(vmm.devices, port, width)
    };
    match answer {
        PortAnswer::Value(value) => regs.r11 = value.into(),
        PortAnswer::Done => {}
        PortAnswer::Look(command) => {
            if let Some(look) = vcpu.ports.look() {
                look.carry_out(vmm, td, &vcpu.shared, command)?;
            }
        }
        PortAnswer::Verdict(value) => return Err(End::of_verdict(value)),
        PortAnswer::Reset => return Err(Death::Reset.into()),
        PortAnswer::PowerOff => return Err(Death::PowerOff.into()),
    }
    Ok(GhciStatus::SUCCESS)
}

fn rdmsr(vmm: &mut Vmm<'_>, vcpu: &Vcpu, regs: &mut Regs) -> GhciStatus {
    let now = vcpu.clock.now(vmm.cpu);
    match vcpu.msrs.read(&vcpu.lapic, regs.r12 as u32, now) {
        Some(value) => {
            regs.r11 = value;
            GhciStatus::SUCCESS
        }
        None => GhciStatus::INVALID_OPERAND,
    }
}

fn wrmsr(vmm: &mut Vmm<'_>, vcpu: &mut Vcpu, regs: &Regs) -> Result<GhciStatus, End> {
    let now = vcpu.clock.now(vmm.cpu);
    match vcpu.msrs.write(&mut vcpu.lapic, regs.r12 as u32, regs.r13, now) {
        Some(effect) => {
            interrupts::carry_out(vmm, vcpu, effect)?;
            Ok(GhciStatus::SUCCESS)
        }
        None => Ok(GhciStatus::INVALID_OPERAND),
    }
}

fn mmio_call(
    vmm: &mut Vmm<'_>,
    td: &Td,
    vcpu: &mut Vcpu,
    regs: &mut Regs,
) -> Result<GhciStatus, End> {
    let bytes = regs.r12;
    let is_size = matches!(bytes, 1 | 2 | 4 | 8);
    let gpa = Gpa::try_new(regs.r14, td.width);
    let (true, Some(is_write), Ok(Gpa::Shared(gpa))) = (is_size, direction(regs.r13), gpa) else {
        return Ok(GhciStatus::INVALID_OPERAND);
    };
    let mut value = regs.r15.to_le_bytes();
    let value = &mut value[..bytes as usize];
    if td.guest.contains(gpa.address()) {
        memory(vmm, td, vcpu, (gpa, is_write), value)?;
    } else {
        device(vmm, vcpu, (gpa, is_write), value);
    }
    if !is_write {
        let mut answer = [0; 8];
        answer[..value.len()].copy_from_slice(value);
        regs.r11 = u64::from_le_bytes(answer);
    }
    Ok(GhciStatus::SUCCESS)
}

/// Memory behind an MMIO request: the TD's shared page. What reaches over the end of memory
/// is dropped and reads as ones.
fn memory(
    vmm: &mut Vmm<'_>,
    td: &Td,
    vcpu: &Vcpu,
    (gpa, is_write): (SharedGpa, bool),
    value: &mut [u8],
) -> Result<(), End> {
    for (offset, byte) in (0_u64..).zip(value) {
        let address = gpa.address() + offset;
        let at = SharedGpa::try_new(address, td.width).ok();
        let Some(at) = at.filter(|at| td.guest.contains(at.address())) else {
            if !is_write {
                *byte = u8::MAX;
            }
            continue;
        };
        let page = vcpu.shared.back(vmm.memory, &mut vmm.pool, at)?;
        let at = abi::Hpa::try_new(page.bits() + address % abi::PAGE_SIZE).unwrap_or(page);
        if is_write {
            vmm.memory.write(at, &[*byte]);
        } else {
            let mut read = [0];
            vmm.memory.read(at, &mut read);
            [*byte] = read;
        }
    }
    Ok(())
}

/// A device behind an MMIO request, in aligned pieces of at most four bytes, as QEMU has them.
fn device(
    vmm: &mut Vmm<'_>,
    vcpu: &mut Vcpu,
    (gpa, is_write): (SharedGpa, bool),
    value: &mut [u8],
) {
    let (mut address, mut rest) = (gpa.address(), value);
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at_mut(piece_at(address, rest.len()));
        register(vmm, vcpu, (address, is_write), piece);
        address = address.saturating_add(piece.len() as u64);
        rest = behind;
    }
}

/// Bytes of the largest aligned piece that an access of `bytes` bytes begins with.
fn piece_at(address: u64, bytes: usize) -> usize {
    let fits = |piece: &usize| *piece <= bytes && address.is_multiple_of(*piece as u64);
    [4, 2].into_iter().find(fits).unwrap_or(1)
}

/// One piece: 1, 2 or 4 bytes, aligned.
fn register(
    vmm: &mut Vmm<'_>,
    vcpu: &mut Vcpu,
    (address, is_write): (u64, bool),
    piece: &mut [u8],
) {
    let Some(width) = IoWidth::from_bytes(piece.len() as u64) else { return };
    let mut bytes = [0; 4];
    bytes[..piece.len()].copy_from_slice(piece);
    let written = u32::from_le_bytes(bytes);
    let offset = address % abi::PAGE_SIZE;
    let read = match (address - offset, is_write) {
        (mmio::IOAPIC, false) => vcpu.ioapic.read(vmm.devices, offset, width),
        (mmio::TEST_MEMORY, false) => vmm.devices.register_read(address, width),
        (_, false) if vcpu.ports.pci.has(address, width.bytes().into()) => {
            vmm.devices.register_read(address, width)
        }
        (_, false) => u32::MAX,
        (mmio::IOAPIC, true) => return vcpu.ioapic.write(vmm.devices, offset, width, written),
        (mmio::TEST_MEMORY, true) => return vmm.devices.register_write(address, width, written),
        (_, true) if vcpu.ports.pci.has(address, width.bytes().into()) => {
            return vmm.devices.register_write(address, width, written);
        }
        (_, true) => return,
    };
    piece.copy_from_slice(&read.to_le_bytes()[..piece.len()]);
}

/// Instruction.WBINVD: both operations are the processor's WBINVD, which does what either
/// asks for.
fn wbinvd(vmm: &mut Vmm<'_>, regs: &Regs) -> GhciStatus {
    if regs.r12 > 1 {
        return GhciStatus::INVALID_OPERAND;
    }
    vmm.cpu.wbinvd();
    GhciStatus::SUCCESS
}

/// Instruction.PCONFIG: leaf 0, which programs a key. The TD has none to program: its own is
/// the module's. [SDM2 PCONFIG]
fn pconfig(regs: &mut Regs) -> GhciStatus {
    const KEY_PROGRAM: u64 = 0;
    const INVALID_KEYID: u64 = 3;
    if regs.r12 != KEY_PROGRAM {
        return GhciStatus::INVALID_OPERAND;
    }
    regs.r11 = INVALID_KEYID;
    GhciStatus::SUCCESS
}

/// GetTdVmCallInfo: leaf 0 says that the base functions are there, leaf 1 that no optional
/// one is.
fn info(regs: &mut Regs) -> GhciStatus {
    if regs.r12 > 1 {
        return GhciStatus::INVALID_OPERAND;
    }
    [regs.r11, regs.r12, regs.r13, regs.r14] = [0; 4];
    GhciStatus::SUCCESS
}

/// R13 of an access: true is a write.
const fn direction(r13: u64) -> Option<bool> {
    match r13 {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
