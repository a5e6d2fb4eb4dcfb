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
mod operand;
mod operation;

use abi::Gpr;
use tdcall::ghci::MmioWidth;

use self::code::{Code, Prefixes};
pub use self::error::DecodeError;
pub use self::operand::MemoryOperand;
use self::operand::{memory_offset, mod_rm};
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
    let mut code = Code::new(bytes);
    let (prefixes, opcode) = Prefixes::read(&mut code)?;
    let mut decoder = Decoder { code, prefixes };
    let (width, memory, operation) = decoder.one_byte(opcode)?;
    let Decoder { code, prefixes } = decoder;
    if prefixes.has_lock {
        return Err(DecodeError::Lock);
    }
    if prefixes.repeat != 0 && !matches!(operation, Operation::String(_)) {
        return Err(DecodeError::Repeat);
    }
    Ok(Instruction { length: code.position(), width: width_of(width), memory, operation })
}

/// Behind the prefixes and the first opcode byte.
struct Decoder<'a> {
    code: Code<'a>,
    prefixes: Prefixes,
}

/// Part of a register that is as wide as the memory operand, the operand, the operation.
type Decoded = Result<(Part, MemoryOperand, Operation), DecodeError>;

impl Decoder<'_> {
    fn one_byte(&mut self, opcode: u8) -> Decoded {
        let wide = self.prefixes.operand_part();
        // Where an opcode comes in two sizes, the even one is the byte's.
        let part = if opcode & 1 == 0 { Part::Byte } else { wide };
        match opcode {
            0x88 | 0x89 => {
                let (register, memory) = self.register_and_memory(part)?;
                Ok((part, memory, Operation::Store(Source::Register(register))))
            }
            0x8A | 0x8B => {
                let (to, memory) = self.register_and_memory(part)?;
                Ok((part, memory, Operation::Load { to, signed: false }))
            }
            0xC6 | 0xC7 => self.move_immediate(part),
            0xA0..=0xA3 => self.move_accumulator(opcode, part),
            0x63 => self.movsxd(wide),
            0x0F => self.two_byte(wide),
            0x00..=0x3B if opcode & 4 == 0 => self.arithmetic(opcode, part),
            0x80 | 0x81 | 0x83 => self.group_1(opcode, part),
            0x84 | 0x85 => {
                let (register, memory) = self.register_and_memory(part)?;
                let source = Source::Register(register);
                Ok((part, memory, Operation::Modify(Arithmetic::Test, source)))
            }
            0x86 | 0x87 => {
                let (register, memory) = self.register_and_memory(part)?;
                Ok((part, memory, Operation::Exchange(register)))
            }
            0xF6 | 0xF7 => self.group_3(part),
            0xFE | 0xFF => self.groups_4_and_5(part),
            0xA4 | 0xA5 | 0xAA..=0xAD => Ok(self.string(opcode, part)),
            other => Err(DecodeError::Opcode(other)),
        }
    }

    fn two_byte(&mut self, wide: Part) -> Decoded {
        let opcode = self.code.next()?;
        let from = if opcode & 1 == 0 { Part::Byte } else { Part::Word };
        match opcode {
            0xB6 | 0xB7 | 0xBE | 0xBF => {
                let (to, memory) = self.register_and_memory(wide)?;
                Ok((from, memory, Operation::Load { to, signed: opcode & 8 != 0 }))
            }
            0xA3 | 0xAB | 0xB3 | 0xBB => {
                let (register, memory) = self.register_and_memory(wide)?;
                let arithmetic = Arithmetic::from_bit_test(opcode >> 3);
                let operation = Operation::Modify(arithmetic, Source::Register(register));
                Ok((wide, memory.with_bit_offset(register), operation))
            }
            0xBA => {
                let (extension, memory) = self.extension_and_memory()?;
                if extension < 4 {
                    return Err(DecodeError::Extension(extension));
                }
                let number = Source::Immediate(self.code.signed_byte()?.cast_unsigned());
                let arithmetic = Arithmetic::from_bit_test(extension);
                Ok((wide, memory, Operation::Modify(arithmetic, number)))
            }
            other => Err(DecodeError::TwoByteOpcode(other)),
        }
    }

    fn move_immediate(&mut self, part: Part) -> Decoded {
        let (extension, memory) = self.extension_and_memory()?;
        if extension != 0 {
            return Err(DecodeError::Extension(extension));
        }
        Ok((part, memory, Operation::Store(self.immediate(part)?)))
    }

    fn move_accumulator(&mut self, opcode: u8, part: Part) -> Decoded {
        let memory = memory_offset(&mut self.code, &self.prefixes)?;
        let accumulator = Register::new(Gpr::Rax, part);
        let operation = if opcode < 0xA2 {
            Operation::Load { to: accumulator, signed: false }
        } else {
            Operation::Store(Source::Register(accumulator))
        };
        Ok((part, memory, operation))
    }

    fn movsxd(&mut self, wide: Part) -> Decoded {
        if wide == Part::Word {
            return Err(DecodeError::NarrowMovsxd);
        }
        let (to, memory) = self.register_and_memory(wide)?;
        Ok((Part::Dword, memory, Operation::Load { to, signed: true }))
    }

    fn arithmetic(&mut self, opcode: u8, part: Part) -> Decoded {
        let (register, memory) = self.register_and_memory(part)?;
        let arithmetic = Arithmetic::from_number(opcode >> 3);
        let operation = if opcode & 2 == 0 {
            Operation::Modify(arithmetic, Source::Register(register))
        } else {
            Operation::Combine(arithmetic, register)
        };
        Ok((part, memory, operation))
    }

    fn group_1(&mut self, opcode: u8, part: Part) -> Decoded {
        let (extension, memory) = self.extension_and_memory()?;
        let immediate = self.immediate(if opcode == 0x83 { Part::Byte } else { part })?;
        Ok((part, memory, Operation::Modify(Arithmetic::from_number(extension), immediate)))
    }

    fn group_3(&mut self, part: Part) -> Decoded {
        let (extension, memory) = self.extension_and_memory()?;
        let operation = match extension {
            0 => Operation::Modify(Arithmetic::Test, self.immediate(part)?),
            2 => Operation::Modify(Arithmetic::Not, Source::Immediate(0)),
            3 => Operation::Modify(Arithmetic::Neg, Source::Immediate(0)),
            other => return Err(DecodeError::Extension(other)),
        };
        Ok((part, memory, operation))
    }

    fn groups_4_and_5(&mut self, part: Part) -> Decoded {
        let (extension, memory) = self.extension_and_memory()?;
        let arithmetic = match extension {
            0 => Arithmetic::Inc,
            1 => Arithmetic::Dec,
            other => return Err(DecodeError::Extension(other)),
        };
        Ok((part, memory, Operation::Modify(arithmetic, Source::Immediate(1))))
    }

    fn string(&self, opcode: u8, part: Part) -> (Part, MemoryOperand, Operation) {
        let Prefixes { segment, has_address_size, repeat, .. } = self.prefixes;
        let accumulator = Register::new(Gpr::Rax, part);
        let (action, gpr, segment) = match opcode {
            // Nothing overrides ES.
            0xAA | 0xAB => (StringAction::Store(accumulator), Gpr::Rdi, None),
            0xAC | 0xAD => (StringAction::Load(accumulator), Gpr::Rsi, segment),
            _ => (StringAction::Move, Gpr::Rsi, segment),
        };
        let memory = MemoryOperand::pointer(gpr, segment, has_address_size);
        (part, memory, Operation::String(StringMove { action, repeats: repeat != 0 }))
    }

    fn register_and_memory(
        &mut self,
        part: Part,
    ) -> Result<(Register, MemoryOperand), DecodeError> {
        let (reg, memory) = mod_rm(&mut self.code, &self.prefixes)?;
        Ok((self.prefixes.register(reg, part), memory))
    }

    /// The opcode extension is not extended by REX.
    fn extension_and_memory(&mut self) -> Result<(u8, MemoryOperand), DecodeError> {
        let (reg, memory) = mod_rm(&mut self.code, &self.prefixes)?;
        Ok((reg & 7, memory))
    }

    /// An immediate for an operand of this part: at most four bytes, sign-extended to eight.
    fn immediate(&mut self, part: Part) -> Result<Source, DecodeError> {
        let value = match part {
            Part::Byte | Part::HighByte => self.code.signed_byte(),
            Part::Word => self.code.signed_word(),
            Part::Dword | Part::Qword => self.code.signed_dword(),
        }?;
        Ok(Source::Immediate(value.cast_unsigned()))
    }
}

const fn width_of(part: Part) -> MmioWidth {
    match part {
        Part::Byte | Part::HighByte => MmioWidth::Byte,
        Part::Word => MmioWidth::Word,
        Part::Dword => MmioWidth::Dword,
        Part::Qword => MmioWidth::Qword,
    }
}

#[cfg(test)]
pub(crate) mod tests;
