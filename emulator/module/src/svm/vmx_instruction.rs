//! The VMM's #UD intercept: SEAMCALL, VMXON, VMXOFF and INVEPT are undefined on the CPU
//! underneath. What they do is `vmx`'s.

use abi::Gpr;

use super::decode::{Instruction, Map, MemoryOperand, Repeat};
use super::fetch;
use super::hardware::Hardware;
use super::inject::{self, Event};
use super::linear::linear;
use super::vmm::Vmm;
use super::vmm_exit::{Next, VmmMemory, inject, nested_page_fault};
use super::vmm_map::View;
use super::vmx::{self, Contexts, Effect};
use super::walk::{Paging, read_linear, walk};
use crate::Module;
use crate::machine::{Exception, Machine};

/// Last byte of `0F 01` opcodes.
const SEAMCALL: u8 = 0xCF;
const VMXOFF: u8 = 0xC4;

/// An access of the VMM that did not go through; the exception is under way.
struct Faulted;

/// One of the four instructions, or a #UD of the VMM's own.
pub(super) fn invalid_opcode(vmm: &mut Vmm, module: &Module, hardware: &mut Hardware) -> Next {
    let Some(found) = fetch::instruction(&VmmMemory(hardware), &vmm.vmcb.get().save) else {
        inject(vmm, Event::UD);
        return Next::Resume;
    };
    let save = &vmm.vmcb.get().save;
    let effect = if found.is_0f01(SEAMCALL, true) {
        match vmm.vmx.seamcall(save, vmm.gprs.get().rax) {
            Effect::Succeeds => return Next::Seamcall(found.length),
            effect => effect,
        }
    } else if found.is_0f01(VMXOFF, false) {
        vmm.vmx.vmxoff(save)
    } else if let Some(operand) = vmxon_operand(&found) {
        match vmxon(vmm, module, hardware, &found, operand) {
            Ok(effect) => effect,
            Err(Faulted) => return Next::Resume,
        }
    } else if let Some(operand) = invept_operand(&found) {
        match invept(vmm, module, hardware, &found, operand) {
            Ok(effect) => effect,
            Err(Faulted) => return Next::Resume,
        }
    } else {
        Effect::Undefined
    };
    finish(vmm, effect, found.length);
    Next::Resume
}

fn finish(vmm: &mut Vmm, effect: Effect, length: u8) {
    match effect {
        Effect::Undefined => inject(vmm, Event::UD),
        Effect::Protection => inject(vmm, Event::GP),
        Effect::Succeeds | Effect::FailsInvalid => {
            let save = &mut vmm.vmcb.get().save;
            save.rflags = vmx::flags(save.rflags, effect == Effect::FailsInvalid);
            inject::finish_instruction(vmm.vmcb.get(), length);
        }
    }
}

/// The operand of F3 0F C7 /6, which is in memory.
fn vmxon_operand(found: &Instruction) -> Option<MemoryOperand> {
    let is_opcode = found.map == Map::Two && found.opcode == 0xC7 && !found.is_vector;
    let has_prefix = found.prefixes.repeat == Repeat::Rep && !found.prefixes.lock;
    let is_vmxon = is_opcode && has_prefix && found.reg() & 7 == 6;
    found.memory.filter(|_| is_vmxon)
}

fn vmxon(
    vmm: &mut Vmm,
    module: &Module,
    hardware: &mut Hardware,
    found: &Instruction,
    operand: MemoryOperand,
) -> Result<Effect, Faulted> {
    let save = &vmm.vmcb.get().save;
    let effect = vmm.vmx.before_vmxon(save);
    if effect != Effect::Succeeds {
        return Ok(effect);
    }
    let at = operand_at(vmm, found, operand);
    let region = read_operand(vmm, module, hardware, at)?;
    let mut vmx = vmm.vmx;
    let effect = vmx.vmxon(region, |region| {
        check_own(vmm, module, hardware, region)?;
        Ok(hardware.read_u64(region) as u32)
    })?;
    vmm.vmx = vmx;
    Ok(effect)
}

/// The operand of 66 0F 38 80, which is in memory; the type is in the other one.
fn invept_operand(found: &Instruction) -> Option<MemoryOperand> {
    let is_opcode = found.map == Map::ThreeByte38 && found.opcode == 0x80 && !found.is_vector;
    let has_prefix = found.prefixes.operand_size
        && found.prefixes.repeat == Repeat::None
        && !found.prefixes.lock;
    found.memory.filter(|_| is_opcode && has_prefix)
}

fn invept(
    vmm: &mut Vmm,
    module: &Module,
    hardware: &mut Hardware,
    found: &Instruction,
    operand: MemoryOperand,
) -> Result<Effect, Faulted> {
    let save = &vmm.vmcb.get().save;
    let is_long = save.is_long64();
    let effect = vmm.vmx.before_invept(save);
    if effect != Effect::Succeeds {
        return Ok(effect);
    }
    let kind = vmm.gprs.get()[Gpr::from_number(found.reg())];
    let kind = if is_long { kind } else { kind & 0xFFFF_FFFF };
    let at = operand_at(vmm, found, operand);
    let contexts = vmx::invept(kind, || {
        let eptp = read_operand(vmm, module, hardware, at)?;
        Ok([eptp, read_operand(vmm, module, hardware, at.wrapping_add(8))?])
    })?;
    match contexts {
        Some(Contexts::All) => hardware.invept(None),
        Some(Contexts::Of(eptp)) => hardware.invept(Some(eptp)),
        None => return Ok(Effect::FailsInvalid),
    }
    Ok(Effect::Succeeds)
}

/// The linear address of a memory operand.
fn operand_at(vmm: &mut Vmm, found: &Instruction, operand: MemoryOperand) -> u64 {
    let save = &vmm.vmcb.get().save;
    let next = save.rip.wrapping_add(u64::from(found.length));
    linear(save, operand.segment, operand.offset(vmm.gprs.get(), next))
}

/// The eight bytes at linear address `at`, as the VMM would read them: with #PF where it
/// maps nothing, and a machine check where it has nothing.
fn read_operand(
    vmm: &mut Vmm,
    module: &Module,
    hardware: &mut Hardware,
    at: u64,
) -> Result<u64, Faulted> {
    let save = &vmm.vmcb.get().save;
    let Some(paging) = Paging::of(save) else {
        inject(vmm, Event::UD);
        return Err(Faulted);
    };
    let mut bytes = [0; 8];
    for at in [at, at.wrapping_add(7)] {
        let Some(gpa) = walk(&VmmMemory(hardware), paging, at, |_| ()) else {
            inject::fault(vmm.vmcb.get(), Exception::Pf { cr2: at, error: 0 });
            return Err(Faulted);
        };
        check_own(vmm, module, hardware, gpa)?;
    }
    read_linear(&VmmMemory(hardware), paging, at, &mut bytes);
    Ok(u64::from_le_bytes(bytes))
}

/// Stops the VMM with a machine check if the page at `gpa` is not its own.
fn check_own(
    vmm: &mut Vmm,
    module: &Module,
    hardware: &mut Hardware,
    gpa: u64,
) -> Result<(), Faulted> {
    if hardware.vmm_touched(gpa) == View::Own {
        return Ok(());
    }
    nested_page_fault(vmm, module, hardware, gpa);
    Err(Faulted)
}

#[cfg(test)]
mod tests {
    use super::super::decode::{CodeMode, decode};
    use super::*;

    fn operand(bytes: &[u8]) -> Option<MemoryOperand> {
        decode(bytes, CodeMode::Long64).as_ref().and_then(vmxon_operand)
    }

    #[test]
    fn invept_has_its_prefix_and_a_memory_operand() {
        let operand = |bytes: &[u8]| {
            let found = decode(bytes, CodeMode::Long64)?;
            invept_operand(&found).map(|_| found.reg())
        };
        assert_eq!(operand(&[0x66, 0x0F, 0x38, 0x80, 0x0F]), Some(1));
        assert_eq!(operand(&[0x66, 0x44, 0x0F, 0x38, 0x80, 0x0F]), Some(9));
        for other in [
            &[0x0F, 0x38, 0x80, 0x0F][..],         // no prefix
            &[0x66, 0x0F, 0x38, 0x81, 0x0F],       // INVVPID
            &[0x66, 0x0F, 0x38, 0x80, 0xCF],       // a register
            &[0xF3, 0x66, 0x0F, 0x38, 0x80, 0x0F], // REP
            &[0xF0, 0x66, 0x0F, 0x38, 0x80, 0x0F], // LOCK
            &[0x66, 0x0F, 0x80, 0x0F, 0, 0, 0],    // another map
        ] {
            assert!(operand(other).is_none(), "{other:x?}");
        }
    }

    #[test]
    fn vmxon_has_its_prefix_its_extension_and_a_memory_operand() {
        assert!(operand(&[0xF3, 0x0F, 0xC7, 0x37]).is_some());
        assert!(operand(&[0xF3, 0x41, 0x0F, 0xC7, 0x37]).is_some());
        for other in [
            &[0x0F, 0xC7, 0x37][..],         // VMPTRLD
            &[0x66, 0x0F, 0xC7, 0x37],       // VMCLEAR
            &[0xF3, 0x0F, 0xC7, 0x3F],       // another extension
            &[0xF3, 0x0F, 0xC7, 0xF7],       // SENDUIPI
            &[0xF0, 0xF3, 0x0F, 0xC7, 0x37], // LOCK
            &[0xF3, 0x0F, 0x01, 0x37],       // another opcode
        ] {
            assert!(operand(other).is_none(), "{other:x?}");
        }
    }
}
