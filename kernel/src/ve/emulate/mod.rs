//! Executes a decoded instruction on a bus. [SDM2 3, 4]
//!
//! A pure function of instruction, registers, flags and what the bus gives:
//!
//! * The bus is asked for every operand before the first read or write, so that an operand
//!   that can not be had stops the instruction before it has an effect.
//! * Memory is read before it is written. Registers and flags change when nothing can fail
//!   any more: on an error they are as they were. Only a write that fails behind a read
//!   leaves a trace, in a device that minds being read.
//! * Nothing that a bus returns reaches a register beyond the operand's width.
//! * Of a string instruction one element is done. With a repeat prefix RCX counts, and the
//!   instruction is over when it reaches 0; until then RIP stays, as in the processor
//!   between two elements, where interrupts may come. A count of 0 accesses nothing.
//! * RIP is the caller's.

mod alu;

use abi::{Gpr, Regs};
use tdcall::ghci::MmioWidth;

pub use self::alu::compute;
use super::Segment;
use super::decode::{
    Access, Instruction, MemoryOperand, Operation, Source, StringAction, StringMove,
};
use super::register::{Part, Register};

/// RFLAGS.DF.
const DIRECTION_FLAG: u64 = 1 << 10;

/// Memory, of whatever kind.
pub trait Bus {
    /// An operand in memory that can be read or written as asked for.
    type Place;
    /// Why not.
    type Error;

    /// The base of a segment.
    fn segment_base(&self, segment: Segment) -> u64;
    /// Finds the operand of this width at a linear address. Nothing is accessed.
    fn place(
        &mut self,
        address: u64,
        width: MmioWidth,
        access: Access,
    ) -> Result<Self::Place, Self::Error>;
    /// All operands are known: the last chance to stop without an effect.
    fn begin(&mut self) -> Result<(), Self::Error>;
    /// Reads an operand; bits above the width are ignored.
    fn read(&mut self, place: &Self::Place, width: MmioWidth) -> Result<u64, Self::Error>;
    /// Writes the low bytes of `value` to an operand.
    fn write(
        &mut self,
        place: &Self::Place,
        width: MmioWidth,
        value: u64,
    ) -> Result<(), Self::Error>;
}

/// What an instruction changes besides memory.
#[derive(Debug)]
pub struct State<'a> {
    /// General-purpose registers.
    pub regs: &'a mut Regs,
    /// Flags.
    pub rflags: &'a mut u64,
    /// Address of the instruction.
    pub rip: u64,
}

/// How far an instruction got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is over.
    Done,
    /// A repeated string instruction has elements left.
    Repeats,
}

/// Executes an instruction, or one element of a string. On an error `state` is unchanged.
#[inline]
pub fn execute<B: Bus>(
    instruction: &Instruction,
    state: &mut State<'_>,
    bus: &mut B,
) -> Result<Progress, B::Error> {
    let next_rip = state.rip.wrapping_add(u64::from(instruction.length));
    let address =
        instruction.memory.address(state.regs, next_rip, |segment| bus.segment_base(segment));
    let Instruction { width, operation, .. } = *instruction;
    let place = bus.place(address, width, operation.access())?;
    match operation {
        Operation::Load { to, signed } => {
            bus.begin()?;
            let value = bus.read(&place, width)? & width.mask();
            let extended = if signed { sign_extended(value, width) } else { value };
            to.write(state.regs, extended);
            Ok(Progress::Done)
        }
        Operation::Store(source) => {
            bus.begin()?;
            bus.write(&place, width, value_of(source, state.regs) & width.mask())?;
            Ok(Progress::Done)
        }
        Operation::String(string) => element(instruction, string, &place, state, bus),
        _ => combine(instruction, &place, state, bus),
    }
}

/// Reads memory and computes: everything but moves.
#[inline(never)]
fn combine<B: Bus>(
    instruction: &Instruction,
    place: &B::Place,
    state: &mut State<'_>,
    bus: &mut B,
) -> Result<Progress, B::Error> {
    let Instruction { width, operation, .. } = *instruction;
    bus.begin()?;
    let memory = bus.read(place, width)? & width.mask();
    let effect = Effect::of(operation, memory, width, state);
    if operation.access() != Access::Read {
        bus.write(place, width, effect.memory & width.mask())?;
    }
    if let Some(register) = effect.register {
        register.write(state.regs, effect.value);
    }
    *state.rflags = effect.rflags;
    Ok(Progress::Done)
}

/// What an instruction leaves behind.
struct Effect {
    /// What memory holds, if it is written.
    memory: u64,
    /// The register that holds `value`.
    register: Option<Register>,
    value: u64,
    rflags: u64,
}

impl Effect {
    /// Of an operation that finds `memory` in memory.
    #[inline]
    fn of(operation: Operation, memory: u64, width: MmioWidth, state: &State<'_>) -> Self {
        let mut effect = Self { memory, register: None, value: memory, rflags: *state.rflags };
        match operation {
            Operation::Exchange(register) => {
                effect.register = Some(register);
                effect.memory = register.read(state.regs);
            }
            Operation::Modify(arithmetic, source) => {
                let source = value_of(source, state.regs);
                (effect.memory, effect.rflags) =
                    compute(arithmetic, width, memory, source, effect.rflags);
            }
            Operation::Combine(arithmetic, register) => {
                let old = register.read(state.regs);
                (effect.value, effect.rflags) =
                    compute(arithmetic, width, old, memory, effect.rflags);
                effect.register = arithmetic.has_result().then_some(register);
            }
            // Moves compute nothing.
            Operation::Load { .. } | Operation::Store(_) | Operation::String(_) => {}
        }
        effect
    }
}

/// One element of a string. [SDM2 4.3, REP]
#[inline(never)]
fn element<B: Bus>(
    instruction: &Instruction,
    string: StringMove,
    place: &B::Place,
    state: &mut State<'_>,
    bus: &mut B,
) -> Result<Progress, B::Error> {
    let width = instruction.width;
    if string.repeats && count(&instruction.memory, state.regs) == 0 {
        return Ok(Progress::Done);
    }
    match string.action {
        StringAction::Store(from) => {
            bus.begin()?;
            bus.write(place, width, from.read(state.regs))?;
        }
        StringAction::Load(to) => {
            bus.begin()?;
            let value = bus.read(place, width)?;
            to.write(state.regs, value);
        }
        StringAction::Move => {
            let address = instruction.destination().address(state.regs, 0, |_| 0);
            let destination = bus.place(address, width, Access::Write)?;
            bus.begin()?;
            let value = bus.read(place, width)?;
            bus.write(&destination, width, value & width.mask())?;
        }
    }
    advance(instruction, string, state);
    if string.repeats && count(&instruction.memory, state.regs) != 0 {
        Ok(Progress::Repeats)
    } else {
        Ok(Progress::Done)
    }
}

/// RCX, as wide as addresses are.
fn count(memory: &MemoryOperand, regs: &Regs) -> u64 {
    Register::new(Gpr::Rcx, address_part(memory)).read(regs)
}

/// Moves the pointers by one element, and counts it.
fn advance(instruction: &Instruction, string: StringMove, state: &mut State<'_>) {
    let part = address_part(&instruction.memory);
    let step = instruction.width as u64;
    let step = if *state.rflags & DIRECTION_FLAG == 0 { step } else { step.wrapping_neg() };
    let mut add = |gpr, step: u64| {
        let register = Register::new(gpr, part);
        let value = register.read(state.regs);
        register.write(state.regs, value.wrapping_add(step));
    };
    if !matches!(string.action, StringAction::Store(_)) {
        add(Gpr::Rsi, step);
    }
    if !matches!(string.action, StringAction::Load(_)) {
        add(Gpr::Rdi, step);
    }
    if string.repeats {
        add(Gpr::Rcx, u64::MAX);
    }
}

/// The part of RCX, RSI and RDI that addresses use; the rest is cleared when they move.
const fn address_part(memory: &MemoryOperand) -> Part {
    if memory.is_32_bit() { Part::Dword } else { Part::Qword }
}

fn value_of(source: Source, regs: &Regs) -> u64 {
    match source {
        Source::Register(register) => register.read(regs),
        Source::Immediate(value) => i64::from(value).cast_unsigned(),
    }
}

/// `value`, of this width, extended by its sign to 64 bits.
fn sign_extended(value: u64, width: MmioWidth) -> u64 {
    let unused = 64 - 8 * width as u32;
    ((value << unused).cast_signed() >> unused).cast_unsigned()
}

#[cfg(test)]
mod tests;
