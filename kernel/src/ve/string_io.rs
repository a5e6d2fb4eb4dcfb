//! INS and OUTS, exit reason 30 with the string bit. [SDM2 INS, OUTS, REP], [ABI-G 16.33]
//!
//! The processor raises one exception for each element: with REP it leaves RIP at the
//! instruction until the count is 0, and so does every exception's handler that moves one
//! element. This handler moves up to [`BATCH`] of them instead, which saves the exceptions
//! and VEINFO.GETs in between, and then lets interrupts in as the processor does: RIP at the
//! instruction, RF set, registers in step with what is done. While single-stepping a batch
//! is one element, because a step is one.
//!
//! The memory operand is private memory that the page tables allow, which is found out
//! before the host is asked. What an element needs is checked before anything is done for it;
//! if it is not there, the elements before it count, and the instruction runs again and stops.
//!
//! VE_INFO says address size and segment; with them nothing of the instruction is read.

use abi::ghci::function;
use abi::{Gpr, IoQualification, IoWidth, VeInfo};
use arch::trap::TrapFrame;
use tdcall::ghci::mask;

use super::register::{Part, Register};
use super::step::TRAP_FLAG;
use super::{Memory, Routed, Segment, Unroutable, instruction_length};
use crate::td::Tdcall;

/// Elements that are moved before interrupts are let in.
pub(super) const BATCH: u64 = 64;

/// RFLAGS.DF: addresses go down.
const DIRECTION: u64 = 1 << 10;

pub(super) fn route(
    td: &mut impl Tdcall,
    memory: &impl Memory,
    info: &VeInfo,
    frame: &mut TrapFrame,
) -> Result<Routed, Unroutable> {
    let length = instruction_length(info)?;
    let transfer = Transfer::new(memory, info, frame)?;
    let access = transfer.access;
    let count = Register::new(Gpr::Rcx, transfer.part);
    let repeats = if access.has_rep() { count.read(&frame.regs) } else { 1 };
    let batch = if frame.rflags & TRAP_FLAG == 0 { BATCH } else { 1 };
    let mut done = 0;
    while done < repeats.min(batch) {
        match transfer.element(td, memory, frame) {
            Ok(()) => done += 1,
            Err(why) if done == 0 => return Err(why),
            Err(_) => break,
        }
        if access.has_rep() {
            count.write(&mut frame.regs, repeats - done);
        }
    }
    let mask = if access.is_in() { mask::IO_READ } else { mask::IO_WRITE };
    Ok(Routed {
        length: if done == repeats { length } else { 0 },
        call: (done != 0).then_some((function::IO, mask)),
        value: done,
    })
}

/// What all elements have in common.
struct Transfer {
    access: IoQualification,
    width: IoWidth,
    /// The part of RCX, RSI and RDI that addresses have.
    part: Part,
    /// RDI of INS, RSI of OUTS.
    index: Register,
    base: u64,
    /// From one element to the next.
    step: i64,
}

impl Transfer {
    fn new(memory: &impl Memory, info: &VeInfo, frame: &TrapFrame) -> Result<Self, Unroutable> {
        let access = IoQualification::from_bits(info.qualification);
        let width = access.width().ok_or(Unroutable::PortSize)?;
        let information = Information(info.instruction_info);
        let (false, Some(part)) = (access.is_immediate(), information.address_part()) else {
            return Err(Unroutable::PortQualification);
        };
        let (gpr, base) = if access.is_in() {
            (Gpr::Rdi, 0)
        } else {
            (Gpr::Rsi, information.segment()?.map_or(0, |segment| memory.segment_base(segment)))
        };
        let bytes = i64::from(width.bytes());
        let step = if frame.rflags & DIRECTION == 0 { bytes } else { -bytes };
        Ok(Self { access, width, part, index: Register::new(gpr, part), base, step })
    }

    /// One element, and its index register.
    fn element(
        &self,
        td: &mut impl Tdcall,
        memory: &impl Memory,
        frame: &mut TrapFrame,
    ) -> Result<(), Unroutable> {
        let (port, bytes) = (self.access.port(), usize::from(self.width.bytes()));
        let index = self.index.read(&frame.regs);
        let address = self.base.wrapping_add(index);
        let not_there = Unroutable::PortBuffer(address);
        let mut value = [0; 4];
        let element = value.get_mut(..bytes).ok_or(Unroutable::PortSize)?;
        if self.access.is_in() {
            if !memory.can_write(address, bytes) {
                return Err(not_there);
            }
            let read = td.io_read(port, self.width).map_err(Unroutable::Refused)?;
            element.copy_from_slice(read.to_le_bytes().get(..bytes).unwrap_or_default());
            if !memory.write(address, element) {
                return Err(not_there);
            }
        } else {
            if !memory.read(address, element) {
                return Err(not_there);
            }
            let value = u32::from_le_bytes(value);
            td.io_write(port, self.width, value).map_err(Unroutable::Refused)?;
        }
        self.index.write(&mut frame.regs, index.wrapping_add_signed(self.step));
        Ok(())
    }
}

/// Instruction information of INS and OUTS. [SDM3 28.2.5]
#[derive(Clone, Copy)]
struct Information(u32);

impl Information {
    /// Bits 9:7. In 64-bit mode an address has 64 bits or 32.
    const fn address_part(self) -> Option<Part> {
        match self.0 >> 7 & 7 {
            1 => Some(Part::Dword),
            2 => Some(Part::Qword),
            _ => None,
        }
    }

    /// Bits 17:15, of OUTS. In 64-bit mode ES, CS, SS and DS have no base.
    fn segment(self) -> Result<Option<Segment>, Unroutable> {
        match self.0 >> 15 & 7 {
            0..=3 => Ok(None),
            4 => Ok(Some(Segment::Fs)),
            5 => Ok(Some(Segment::Gs)),
            _ => Err(Unroutable::PortQualification),
        }
    }
}
