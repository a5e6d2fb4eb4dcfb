//! Device memory: EPT violations, exit reason 48. [ABI-G 5, 10]
//!
//! The exception gives addresses and direction but no instruction. It is fetched from
//! private memory at RIP, decoded, and must agree with VE_INFO in direction and address;
//! the host can raise this exception at will, so every disagreement is a stop.
//!
//! * The access lies inside one page.
//! * Direction: what is only read or only written faults as that. What is read and then
//!   written faults as a write; whether as a read, too, is the processor's choice.
//!   [SDM3 28.2.1]
//! * MOVS has two operands, of which VE_INFO describes the one that faulted. The other may
//!   be a device's, too, or private memory; it may cross pages if it is private memory.
//! * One VP.VMCALL for a read, one for a write.

use core::ptr;

use abi::ghci::function;
use abi::{EptQualification, Gpa, PAGE_SIZE, SharedGpa, VeInfo};
use arch::trap::TrapFrame;
use tdcall::ghci::{MmioWidth, mask};

use super::decode::{
    Access, DecodeError, Instruction, MAX_LENGTH, Operation, StringAction, StringMove,
};
use super::emulate::{Bus, Progress, State, execute};
use super::{Memory, Routed, Segment, Unroutable};
use crate::td::Tdcall;

pub(super) fn route(
    td: &mut impl Tdcall,
    memory: &impl Memory,
    info: &VeInfo,
    frame: &mut TrapFrame,
) -> Result<Routed, Unroutable> {
    let gpa = device_address(memory, info)?;
    let mut instruction = Instruction::NONE;
    fetch(memory, frame.rip, &mut instruction)?;
    let instruction = &instruction;
    let frame_address = ptr::from_ref(frame).addr();
    let mut bus =
        Operands { td, memory, info, gpa, instruction, frame_address, is_met: false, last: None };
    let mut state = State { regs: &mut frame.regs, rflags: &mut frame.rflags, rip: frame.rip };
    let progress = execute(instruction, &mut state, &mut bus)?;
    // Nothing was accessed: a string instruction with a count of 0, which does not fault.
    let (mask, value) = bus.last.ok_or(Unroutable::Mismatch)?;
    // RSP is in the frame's hardware part, too.
    frame.rsp = frame.regs.rsp;
    let length = if progress == Progress::Done { u64::from(instruction.length) } else { 0 };
    Ok(Routed { length, call: Some((function::MMIO, mask)), value })
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
        let is_shared = memory.is_shared(gpa);
        return Err(if is_shared { Unroutable::NotShared(gpa) } else { Unroutable::UnknownDevice });
    }
    Ok(gpa)
}

/// Fetches and decodes.
#[inline]
fn fetch(memory: &impl Memory, rip: u64, instruction: &mut Instruction) -> Result<(), Unroutable> {
    if rip % PAGE_SIZE + MAX_LENGTH as u64 > PAGE_SIZE {
        return fetch_at_page_end(memory, rip, instruction);
    }
    let mut bytes = [0; MAX_LENGTH];
    if memory.read_code(rip, &mut bytes) {
        instruction.decode(&bytes).map_err(Unroutable::Decode)
    } else {
        Err(Unroutable::Code)
    }
}

/// The second page is touched only if the instruction reaches into it: then the processor,
/// too, found code there.
#[cold]
fn fetch_at_page_end(
    memory: &impl Memory,
    rip: u64,
    instruction: &mut Instruction,
) -> Result<(), Unroutable> {
    let mut bytes = [0; MAX_LENGTH];
    let to_page_end = PAGE_SIZE - rip % PAGE_SIZE;
    let (here, beyond) = bytes.split_at_mut(to_page_end as usize);
    if !memory.read_code(rip, here) {
        return Err(Unroutable::Code);
    }
    match instruction.decode(here) {
        Err(DecodeError::Truncated) => {
            if !memory.read_code(rip.wrapping_add(to_page_end), beyond) {
                return Err(Unroutable::Code);
            }
            instruction.decode(&bytes).map_err(Unroutable::Decode)
        }
        decoded => decoded.map_err(Unroutable::Decode),
    }
}

/// The operands of the instruction that faulted.
struct Operands<'a, T, M> {
    td: &'a mut T,
    memory: &'a M,
    info: &'a VeInfo,
    /// What VE_INFO says was accessed.
    gpa: SharedGpa,
    instruction: &'a Instruction,
    /// Behind the frame are the red zone and the interrupted code's stack.
    frame_address: usize,
    /// An operand is what VE_INFO says.
    is_met: bool,
    /// The RCX mask of the last VP.VMCALL, and the value that it moved.
    last: Option<(u64, u64)>,
}

/// An operand.
enum Place {
    Device(SharedGpa),
    /// At a linear address.
    Private(u64),
}

impl<T: Tdcall, M: Memory> Bus for Operands<'_, T, M> {
    type Place = Place;
    type Error = Unroutable;

    fn segment_base(&self, segment: Segment) -> u64 {
        self.memory.segment_base(segment)
    }

    #[inline]
    fn place(
        &mut self,
        address: u64,
        width: MmioWidth,
        access: Access,
    ) -> Result<Place, Unroutable> {
        let in_page = address % PAGE_SIZE;
        let crosses = in_page + width as u64 > PAGE_SIZE;
        let is_direction = raises(access, EptQualification::from_bits(self.info.qualification));
        let is_address = address == self.info.linear_address
            && in_page == self.info.guest_physical_address % PAGE_SIZE;
        if is_direction && is_address && !crosses {
            self.is_met = true;
            Ok(Place::Device(self.gpa))
        } else if self.is_move() {
            self.other(address, width, access)
        } else if is_direction && crosses {
            // Its address or, if the access starts in the page before, the page's.
            Err(Unroutable::CrossesPage)
        } else {
            Err(Unroutable::Mismatch)
        }
    }

    fn begin(&mut self) -> Result<(), Unroutable> {
        if self.is_met { Ok(()) } else { Err(Unroutable::Mismatch) }
    }

    fn read(&mut self, place: &Place, width: MmioWidth) -> Result<u64, Unroutable> {
        match *place {
            Place::Device(gpa) => {
                let value = self.td.mmio_read(gpa, width).map_err(Unroutable::Refused)?;
                let value = value & width.mask();
                self.last = Some((mask::MMIO_READ, value));
                Ok(value)
            }
            Place::Private(address) => {
                let mut bytes = [0; 8];
                let used = &mut bytes[..width as usize];
                if self.memory.read(address, used) {
                    Ok(u64::from_le_bytes(bytes))
                } else {
                    Err(Unroutable::OtherOperand(address))
                }
            }
        }
    }

    fn write(&mut self, place: &Place, width: MmioWidth, value: u64) -> Result<(), Unroutable> {
        match *place {
            Place::Device(gpa) => {
                let value = value & width.mask();
                self.td.mmio_write(gpa, width, value).map_err(Unroutable::Refused)?;
                self.last = Some((mask::MMIO_WRITE, value));
                Ok(())
            }
            Place::Private(address) => {
                let bytes = value.to_le_bytes();
                let is_written = self.memory.write(address, &bytes[..width as usize]);
                if is_written { Ok(()) } else { Err(Unroutable::OtherOperand(address)) }
            }
        }
    }
}

impl<T, M: Memory> Operands<'_, T, M> {
    /// The instruction is MOVS, with an operand that VE_INFO does not speak of.
    fn is_move(&self) -> bool {
        matches!(
            self.instruction.operation,
            Operation::String(StringMove { action: StringAction::Move, .. })
        )
    }

    /// The operand of MOVS that VE_INFO does not speak of.
    #[cold]
    fn other(&self, address: u64, width: MmioWidth, access: Access) -> Result<Place, Unroutable> {
        if let Some(gpa) = self.memory.device(address) {
            let crosses = address % PAGE_SIZE + width as u64 > PAGE_SIZE;
            return if crosses { Err(Unroutable::CrossesPage) } else { Ok(Place::Device(gpa)) };
        }
        if self.is_handlers_stack(address, width) {
            return Err(Unroutable::OtherOperandInStack(address));
        }
        // A source is read before anything else happens, and that is how it is checked.
        let is_there = access == Access::Read || self.memory.can_write(address, width as usize);
        if is_there { Ok(Place::Private(address)) } else { Err(Unroutable::OtherOperand(address)) }
    }

    /// Where the frame and this handler's own variables are: below the interrupted code's
    /// red zone, so that it can expect nothing there.
    fn is_handlers_stack(&self, address: u64, width: MmioWidth) -> bool {
        /// Room for the functions called from here.
        const CALLEES: usize = 4096;
        let here = 0_u8;
        let start = ptr::from_ref(&here).addr() - CALLEES;
        let frame_end = self.frame_address + size_of::<TrapFrame>();
        let end = address.wrapping_add(width as u64) as usize;
        end > start && (address as usize) < frame_end
    }
}

/// Whether an access of this kind raises an exception of this cause.
fn raises(access: Access, cause: EptQualification) -> bool {
    match access {
        Access::Read => cause.read() && !cause.write(),
        Access::Write => cause.write() && !cause.read(),
        Access::ReadWrite => cause.write(),
    }
}

#[cfg(test)]
#[path = "mmio_tests.rs"]
mod tests;
