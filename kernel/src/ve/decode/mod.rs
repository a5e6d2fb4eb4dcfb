//! Decodes the instructions that may access device memory. [SDM2 2, A]
//!
//! A pure function of the instruction's bytes in 64-bit mode: no heap, no panic. What it
//! accepts it decodes as the processor does; everything else is refused with a reason.
//!
//! | opcode | instruction |
//! |---|---|
//! | 88, 89 | MOV r/m, r |
//! | 8A, 8B | MOV r, r/m |
//! | A0, A1 | MOV AL/rAX, moffs |
//! | A2, A3 | MOV moffs, AL/rAX |
//! | C6 /0, C7 /0 | MOV r/m, imm |
//! | 63 | MOVSXD r32/r64, r/m32 |
//! | 0F B6, 0F B7 | MOVZX r, r/m8 or r/m16 |
//! | 0F BE, 0F BF | MOVSX r, r/m8 or r/m16 |
//! | 86, 87 | XCHG r/m, r |
//! | 00-3B, last digit 0, 1, 8, 9 | ADD OR ADC SBB AND SUB XOR CMP r/m, r |
//! | 00-3B, last digit 2, 3, A, B | the same, r, r/m |
//! | 80, 81, 83 | the same, r/m, imm |
//! | 84, 85 | TEST r/m, r |
//! | F6, F7 /0 /2 /3 | TEST r/m, imm; NOT, NEG r/m |
//! | FE, FF /0 /1 | INC, DEC r/m |
//! | 0F A3, AB, B3, BB | BT, BTS, BTR, BTC r/m, r |
//! | 0F BA /4 /5 /6 /7 | the same, r/m, imm8 |
//! | A4, A5 | MOVS, with and without REP |
//! | AA, AB | STOS, with and without REP |
//! | AC, AD | LODS, with and without REP |
//!
//! with every REX, address-size, operand-size and segment prefix. Refused on purpose:
//!
//! * LOCK, because a read and a write by the host are two calls, between which the device
//!   and other CPUs go on. XCHG locks by itself and is let through all the same: it is
//!   a read, then a write, and atomic against nobody. With a LOCK prefix it is refused.
//! * F2 and F3 on anything but a string instruction (lock elision, or other instructions).
//!   On a string instruction of the table both repeat.
//! * MOVSXD with a 16-bit operand, on which processors differ; F6 /1 and F7 /1, which
//!   are not documented.
//! * CMPXCHG and XADD, which are of no use without LOCK; CMPS and SCAS; stack, vector and
//!   all other instructions.

mod code;
mod error;
mod form;
mod operand;
mod operation;

use abi::Gpr;
use tdcall::ghci::MmioWidth;

use self::code::{Code, Prefixes};
pub use self::error::DecodeError;
use self::form::Form;
pub use self::operand::MemoryOperand;
use self::operand::memory_offset;
pub use self::operation::{Access, Arithmetic, Operation, Source, StringAction, StringMove};
use super::register::{Part, Register};

/// Bytes of the longest instruction. [SDM2 2.3.11]
pub const MAX_LENGTH: usize = 15;

/// A decoded instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Bytes of the instruction, 1 to 15.
    pub length: u8,
    /// Bytes of memory that are read or written at once.
    pub width: MmioWidth,
    /// Where the memory is.
    pub memory: MemoryOperand,
    /// What is done with it.
    pub operation: Operation,
}

impl Instruction {
    /// The second operand of MOVS, at RDI.
    #[must_use]
    pub const fn destination(&self) -> MemoryOperand {
        MemoryOperand::pointer(Gpr::Rdi, None, self.memory.is_32_bit())
    }
}

/// Decodes the instruction at the start of `bytes`.
pub fn decode(bytes: &[u8]) -> Result<Instruction, DecodeError> {
    let mut instruction = Instruction::NONE;
    instruction.decode(bytes)?;
    Ok(instruction)
}

impl Instruction {
    /// A place to decode into; of no meaning.
    pub const NONE: Self = Self {
        length: 0,
        width: MmioWidth::Byte,
        memory: MemoryOperand::NONE,
        operation: Operation::Store(Source::Immediate(0)),
    };

    /// Decodes the instruction at the start of `bytes` into this place. On an error it has no
    /// meaning.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let mut code = Code::new(bytes);
        let decoded = self.complete(&mut code);
        self.length = code.position() as u8;
        // What was decoded behind the end of the bytes is of no interest.
        code.overrun().map_or(decoded, Err)
    }

    /// Decodes as if there were enough bytes. Most accesses of drivers are plain moves: they
    /// have the short way.
    #[inline]
    fn complete(&mut self, code: &mut Code<'_>) -> Result<(), DecodeError> {
        let (prefixes, opcode) = Prefixes::read(code);
        if opcode & 0xFC != 0x88 || prefixes.has_lock_or_repeat() {
            return self.uncommon(code, prefixes, opcode);
        }
        let part = part_of(opcode, prefixes);
        let reg = self.memory.mod_rm(code, prefixes)?;
        let register = prefixes.register(reg, part);
        self.width = part.width();
        self.operation = if opcode & 2 == 0 {
            Operation::Store(Source::Register(register))
        } else {
            Operation::Load { to: register, signed: false }
        };
        Ok(())
    }

    /// All but MOV between a register and memory.
    #[inline(never)]
    fn uncommon(
        &mut self,
        code: &mut Code<'_>,
        prefixes: Prefixes,
        mut opcode: u8,
    ) -> Result<(), DecodeError> {
        let form = if opcode == 0x0F {
            opcode = code.next();
            Form::of_two_bytes(opcode).ok_or(DecodeError::TwoByteOpcode(opcode))?
        } else {
            Form::of_one_byte(opcode).ok_or(DecodeError::Opcode(opcode))?
        };
        if prefixes.has_lock() {
            return Err(DecodeError::Lock);
        }
        if prefixes.has_repeat() && form != Form::String {
            return Err(DecodeError::Repeat);
        }
        self.width = part_of(opcode, prefixes).width();
        match form {
            Form::Accumulator => self.move_accumulator(code, prefixes, opcode),
            Form::String => self.string(prefixes, opcode),
            _ => return self.with_mod_rm(code, prefixes, form, opcode),
        }
        Ok(())
    }

    /// All forms with a ModRM byte.
    #[inline(never)]
    fn with_mod_rm(
        &mut self,
        code: &mut Code<'_>,
        prefixes: Prefixes,
        form: Form,
        opcode: u8,
    ) -> Result<(), DecodeError> {
        let reg = self.memory.mod_rm(code, prefixes)?;
        // The opcode extension is not extended by REX.
        let extension = reg & 7;
        let wide = prefixes.operand_part();
        let part = part_of(opcode, prefixes);
        let register = prefixes.register(reg, part);
        let source = Source::Register(register);
        self.operation = match form {
            Form::StoreImmediate => match extension {
                0 => Operation::Store(immediate(code, part)),
                other => return Err(DecodeError::Extension(other)),
            },
            Form::Extend => {
                let is_byte = opcode & 1 == 0;
                self.width = if is_byte { MmioWidth::Byte } else { MmioWidth::Word };
                Operation::Load { to: prefixes.register(reg, wide), signed: opcode & 8 != 0 }
            }
            Form::Movsxd if wide == Part::Word => return Err(DecodeError::NarrowMovsxd),
            Form::Movsxd => {
                self.width = MmioWidth::Dword;
                Operation::Load { to: register, signed: true }
            }
            Form::Exchange => Operation::Exchange(register),
            Form::Arithmetic if opcode & 2 != 0 => {
                Operation::Combine(Arithmetic::from_number(opcode >> 3), register)
            }
            Form::Arithmetic => Operation::Modify(Arithmetic::from_number(opcode >> 3), source),
            Form::Test => Operation::Modify(Arithmetic::Test, source),
            Form::BitTest => {
                self.memory.add_bit_offset(register);
                Operation::Modify(Arithmetic::from_bit_test(opcode >> 3), source)
            }
            Form::BitTestImmediate => {
                self.width = wide.width();
                group(code, form, opcode, extension, wide)?
            }
            _ => group(code, form, opcode, extension, part)?,
        };
        Ok(())
    }

    /// A0-A3.
    fn move_accumulator(&mut self, code: &mut Code<'_>, prefixes: Prefixes, opcode: u8) {
        self.memory = memory_offset(code, prefixes);
        let accumulator = Register::new(Gpr::Rax, part_of(opcode, prefixes));
        self.operation = if opcode < 0xA2 {
            Operation::Load { to: accumulator, signed: false }
        } else {
            Operation::Store(Source::Register(accumulator))
        };
    }

    /// MOVS, STOS, LODS.
    fn string(&mut self, prefixes: Prefixes, opcode: u8) {
        let accumulator = Register::new(Gpr::Rax, part_of(opcode, prefixes));
        let (action, gpr, segment) = match opcode {
            // Nothing overrides ES.
            0xAA | 0xAB => (StringAction::Store(accumulator), Gpr::Rdi, None),
            0xAC | 0xAD => (StringAction::Load(accumulator), Gpr::Rsi, prefixes.segment()),
            _ => (StringAction::Move, Gpr::Rsi, prefixes.segment()),
        };
        self.memory = MemoryOperand::pointer(gpr, segment, prefixes.has_address_size());
        self.operation = Operation::String(StringMove { action, repeats: prefixes.has_repeat() });
    }
}

/// Forms whose ModRM byte chooses the operation, and that have no register operand.
fn group(
    code: &mut Code<'_>,
    form: Form,
    opcode: u8,
    extension: u8,
    part: Part,
) -> Result<Operation, DecodeError> {
    let (arithmetic, source) = match (form, extension) {
        (Form::Group1, _) => {
            let part = if opcode == 0x83 { Part::Byte } else { part };
            (Arithmetic::from_number(extension), immediate(code, part))
        }
        (Form::Group3, 0) => (Arithmetic::Test, immediate(code, part)),
        (Form::Group3, 2) => (Arithmetic::Not, Source::Immediate(0)),
        (Form::Group3, 3) => (Arithmetic::Neg, Source::Immediate(0)),
        (Form::Groups4And5, 0) => (Arithmetic::Inc, Source::Immediate(1)),
        (Form::Groups4And5, 1) => (Arithmetic::Dec, Source::Immediate(1)),
        (Form::BitTestImmediate, 4..) => {
            (Arithmetic::from_bit_test(extension), immediate(code, Part::Byte))
        }
        (_, other) => return Err(DecodeError::Extension(other)),
    };
    Ok(Operation::Modify(arithmetic, source))
}

/// The operand's size where an opcode comes in two: the even one is the byte's.
const fn part_of(opcode: u8, prefixes: Prefixes) -> Part {
    if opcode & 1 == 0 { Part::Byte } else { prefixes.operand_part() }
}

/// An immediate for an operand of this part: at most four bytes.
fn immediate(code: &mut Code<'_>, part: Part) -> Source {
    Source::Immediate(match part {
        Part::Byte | Part::HighByte => code.signed_byte(),
        Part::Word => code.signed_word(),
        Part::Dword | Part::Qword => code.signed_dword(),
    })
}

#[cfg(test)]
pub(crate) mod tests;
