//! Device memory: EPT violations, exit reason 48. [ABI-G 5, 10]
//!
//! The exception gives addresses and direction but no instruction. It is fetched from
//! private memory at RIP, decoded, and must agree with VE_INFO in direction and address;
//! the host can raise this exception at will, so every disagreement is a stop.

use abi::ghci::function;
use abi::{EptQualification, Gpa, Gpr, PAGE_SIZE, SharedGpa, VeInfo};
use arch::trap::TrapFrame;
use tdcall::ghci::{MmioWidth, mask};

use super::decode::{Action, DecodeError, MAX_LENGTH, Mmio, decode};
use super::register::Register;
use super::{Memory, Routed, Unroutable};
use crate::td::Tdcall;

pub(super) fn route(
    td: &mut impl Tdcall,
    memory: &impl Memory,
    info: &VeInfo,
    frame: &mut TrapFrame,
) -> Result<Routed, Unroutable> {
    let gpa = device_address(memory, info)?;
    let mmio = instruction_at(memory, frame.rip)?;
    agree(&mmio, info, frame)?;
    let length = u64::from(mmio.length);
    let width = mmio.width;
    match mmio.action {
        Action::Load { to, signed } => {
            let value = td.mmio_read(gpa, width).map_err(Unroutable::Refused)? & width.mask();
            let extended = if signed { sign_extended(value, width) } else { value };
            load(to, extended, frame);
            Ok(Routed { length, call: Some((function::MMIO, mask::MMIO_READ)), value })
        }
        Action::Store(from) => store(td, gpa, &mmio, from.read(&frame.regs)),
        Action::StoreImmediate(value) => store(td, gpa, &mmio, value),
    }
}

/// The GPA, if a read or write of a device's page can raise this exception.
fn device_address(memory: &impl Memory, info: &VeInfo) -> Result<SharedGpa, Unroutable> {
    let raw = info.guest_physical_address;
    let gpa = match Gpa::try_new(raw, memory.gpa_width()) {
        Ok(Gpa::Shared(gpa)) => gpa,
        Ok(Gpa::Private(_)) => return Err(Unroutable::PrivateMemory),
        Err(error) => return Err(Unroutable::Address(error)),
    };
    let cause = EptQualification::from_bits(info.qualification);
    if cause.fetch() || !cause.linear_valid() || !cause.translated() {
        return Err(Unroutable::NotAnAccess);
    }
    if !memory.is_device(gpa) {
        return Err(Unroutable::UnknownDevice);
    }
    Ok(gpa)
}

/// Fetches and decodes. The second page is touched only if the instruction reaches into
/// it: then the processor, too, found code there.
fn instruction_at(memory: &impl Memory, rip: u64) -> Result<Mmio, Unroutable> {
    let mut bytes = [0; MAX_LENGTH];
    let to_page_end = PAGE_SIZE - rip % PAGE_SIZE;
    let (here, beyond) = bytes.split_at_mut(MAX_LENGTH.min(to_page_end as usize));
    if !memory.read_code(rip, here) {
        return Err(Unroutable::Code);
    }
    match decode(here) {
        Err(DecodeError::Truncated) if !beyond.is_empty() => {
            if !memory.read_code(rip.wrapping_add(to_page_end), beyond) {
                return Err(Unroutable::Code);
            }
            decode(&bytes).map_err(Unroutable::Decode)
        }
        decoded => decoded.map_err(Unroutable::Decode),
    }
}

/// The instruction does what the exception says, inside one page.
fn agree(mmio: &Mmio, info: &VeInfo, frame: &TrapFrame) -> Result<(), Unroutable> {
    let cause = EptQualification::from_bits(info.qualification);
    let is_load = matches!(mmio.action, Action::Load { .. });
    if cause.read() != is_load || cause.write() == is_load {
        return Err(Unroutable::Mismatch);
    }
    let next_rip = frame.rip.wrapping_add(u64::from(mmio.length));
    let address = mmio.memory.address(&frame.regs, next_rip);
    let in_page = address % PAGE_SIZE;
    // An access that starts in the page before faults with the address of this page.
    if in_page + mmio.width as u64 > PAGE_SIZE {
        return Err(Unroutable::CrossesPage);
    }
    let is_same =
        address == info.linear_address && in_page == info.guest_physical_address % PAGE_SIZE;
    if is_same { Ok(()) } else { Err(Unroutable::Mismatch) }
}

fn store(
    td: &mut impl Tdcall,
    gpa: SharedGpa,
    mmio: &Mmio,
    value: u64,
) -> Result<Routed, Unroutable> {
    let value = value & mmio.width.mask();
    td.mmio_write(gpa, mmio.width, value).map_err(Unroutable::Refused)?;
    let call = Some((function::MMIO, mask::MMIO_WRITE));
    Ok(Routed { length: u64::from(mmio.length), call, value })
}

/// Writes the register; RSP is in the frame's hardware part too.
fn load(to: Register, value: u64, frame: &mut TrapFrame) {
    to.write(&mut frame.regs, value);
    if to.gpr == Gpr::Rsp {
        frame.rsp = frame.regs.rsp;
    }
}

/// `value`, of this width, extended by its sign to 64 bits.
fn sign_extended(value: u64, width: MmioWidth) -> u64 {
    let unused = 64 - 8 * width as u32;
    ((value << unused).cast_signed() >> unused).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_extension_starts_at_the_width() {
        assert_eq!(sign_extended(0x80, MmioWidth::Byte), 0xFFFF_FFFF_FFFF_FF80);
        assert_eq!(sign_extended(0x7F, MmioWidth::Byte), 0x7F);
        assert_eq!(sign_extended(0x8000, MmioWidth::Word), 0xFFFF_FFFF_FFFF_8000);
        assert_eq!(sign_extended(0x80, MmioWidth::Word), 0x80);
        assert_eq!(sign_extended(u64::MAX, MmioWidth::Qword), u64::MAX);
    }
}
