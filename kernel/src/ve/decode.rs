//! Decodes the MOV family, for accesses to device memory. [SDM2 2.1, 2.2, MOV,
//! MOVZX, MOVSX]
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
//!
//! Refused on purpose: FS and GS overrides (their bases are not looked up), LOCK (#UD) and
//! REP prefixes (lock elision), MOVSXD with a 16-bit operand (processors differ).

use core::fmt;

use abi::{Gpr, Regs};
use tdcall::ghci::MmioWidth;

use super::register::{Part, Register};

/// Bytes of the longest instruction. [SDM2 2.3.11]
pub const MAX_LENGTH: usize = 15;

/// A decoded access: one memory operand, one move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mmio {
    /// Bytes of the instruction, 1 to 15.
    pub length: u8,
    /// Bytes of memory that are read or written.
    pub width: MmioWidth,
    /// Where the memory is.
    pub memory: MemoryOperand,
    /// What is done with it.
    pub action: Action,
}

/// The move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Memory to register; a narrower value is extended to the register's part.
    Load {
        /// Where the value goes.
        to: Register,
        /// Extended by its sign (else by zeros).
        signed: bool,
    },
    /// Register to memory.
    Store(Register),
    /// Immediate to memory, already sign-extended to the operand's size.
    StoreImmediate(u64),
}

/// base + index * scale + displacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryOperand {
    base: Base,
    index: Option<Gpr>,
    scale: u8,
    displacement: i64,
    is_32_bit: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    None,
    Register(Gpr),
    /// The address of the next instruction.
    NextInstruction,
}

impl MemoryOperand {
    /// The linear address, FS and GS being out of the question; `next_rip` is the address
    /// behind the instruction.
    #[must_use]
    pub fn address(&self, regs: &Regs, next_rip: u64) -> u64 {
        let base = match self.base {
            Base::None => 0,
            Base::Register(gpr) => regs[gpr],
            Base::NextInstruction => next_rip,
        };
        let index = self.index.map_or(0, |gpr| regs[gpr].wrapping_mul(u64::from(self.scale)));
        let address = base.wrapping_add(index).wrapping_add_signed(self.displacement);
        if self.is_32_bit { address & 0xFFFF_FFFF } else { address }
    }
}

/// Why bytes are not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes end before the instruction does.
    Truncated,
    /// The instruction is longer than 15 bytes.
    TooLong,
    /// A prefix that changes the meaning in a way that is not handled.
    Prefix(u8),
    /// An opcode outside the table.
    Opcode(u8),
    /// An opcode outside the table, behind 0F.
    TwoByteOpcode(u8),
    /// C6 or C7 with another extension than 0: another instruction.
    Extension(u8),
    /// Both operands are registers.
    NoMemory,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the instruction is cut off"),
            Self::TooLong => f.write_str("the instruction is longer than 15 bytes"),
            Self::Prefix(byte) => write!(f, "prefix {byte:02x} is not handled"),
            Self::Opcode(byte) => write!(f, "opcode {byte:02x} is not handled"),
            Self::TwoByteOpcode(byte) => write!(f, "opcode 0f {byte:02x} is not handled"),
            Self::Extension(number) => write!(f, "opcode extension /{number} is not handled"),
            Self::NoMemory => f.write_str("the instruction accesses no memory"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// Decodes the instruction at the start of `bytes`.
pub fn decode(bytes: &[u8]) -> Result<Mmio, DecodeError> {
    let mut code = Code::new(bytes);
    let (prefixes, opcode) = Prefixes::read(&mut code)?;
    let wide = prefixes.operand_part();
    let (width, action, memory) = match opcode {
        0x88 | 0x89 => {
            let part = if opcode == 0x88 { Part::Byte } else { wide };
            let (reg, memory) = mod_rm(&mut code, &prefixes)?;
            (part, Action::Store(prefixes.register(reg, part)), memory)
        }
        0x8A | 0x8B => {
            let part = if opcode == 0x8A { Part::Byte } else { wide };
            let (reg, memory) = mod_rm(&mut code, &prefixes)?;
            (part, Action::Load { to: prefixes.register(reg, part), signed: false }, memory)
        }
        0xA0..=0xA3 => {
            let part = if opcode & 1 == 0 { Part::Byte } else { wide };
            let memory = memory_offset(&mut code, &prefixes)?;
            let accumulator = Register::new(Gpr::Rax, part);
            let load = Action::Load { to: accumulator, signed: false };
            (part, if opcode < 0xA2 { load } else { Action::Store(accumulator) }, memory)
        }
        0xC6 | 0xC7 => {
            let part = if opcode == 0xC6 { Part::Byte } else { wide };
            let (reg, memory) = mod_rm(&mut code, &prefixes)?;
            if reg & 7 != 0 {
                return Err(DecodeError::Extension(reg & 7));
            }
            (part, Action::StoreImmediate(immediate(&mut code, part)?), memory)
        }
        0x63 if wide == Part::Word => return Err(DecodeError::Prefix(0x66)),
        0x63 => {
            let (reg, memory) = mod_rm(&mut code, &prefixes)?;
            (Part::Dword, Action::Load { to: prefixes.register(reg, wide), signed: true }, memory)
        }
        0x0F => {
            let (from, signed) = match code.next()? {
                0xB6 => (Part::Byte, false),
                0xB7 => (Part::Word, false),
                0xBE => (Part::Byte, true),
                0xBF => (Part::Word, true),
                other => return Err(DecodeError::TwoByteOpcode(other)),
            };
            let (reg, memory) = mod_rm(&mut code, &prefixes)?;
            (from, Action::Load { to: prefixes.register(reg, wide), signed }, memory)
        }
        other => return Err(DecodeError::Opcode(other)),
    };
    Ok(Mmio { length: code.position, width: width_of(width), memory, action })
}

/// The bytes, taken one after the other.
struct Code<'a> {
    bytes: &'a [u8],
    position: u8,
}

impl<'a> Code<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    fn next(&mut self) -> Result<u8, DecodeError> {
        let index = usize::from(self.position);
        if index >= MAX_LENGTH {
            return Err(DecodeError::TooLong);
        }
        let byte = *self.bytes.get(index).ok_or(DecodeError::Truncated)?;
        self.position += 1;
        Ok(byte)
    }

    /// `count` bytes, at most 8, little-endian and sign-extended.
    fn signed(&mut self, count: u32) -> Result<i64, DecodeError> {
        let mut value = 0u64;
        for place in 0..count {
            value |= u64::from(self.next()?) << (8 * place);
        }
        let unused = 64 - 8 * count;
        Ok((value << unused).cast_signed() >> unused)
    }
}

/// The prefixes that matter to the table above.
struct Prefixes {
    /// Low four bits of the REX byte, W R X B, if there is one.
    rex: Option<u8>,
    has_operand_size: bool,
    has_address_size: bool,
}

impl Prefixes {
    /// Takes the prefixes and the first opcode byte. A REX byte counts only directly
    /// before the opcode. [SDM2 2.2.1]
    fn read(code: &mut Code<'_>) -> Result<(Self, u8), DecodeError> {
        let mut prefixes = Self { rex: None, has_operand_size: false, has_address_size: false };
        loop {
            let byte = code.next()?;
            match byte {
                0x40..=0x4F => {
                    prefixes.rex = Some(byte & 15);
                    continue;
                }
                0x66 => prefixes.has_operand_size = true,
                0x67 => prefixes.has_address_size = true,
                // ES, CS, SS, DS overrides do nothing in 64-bit mode.
                0x26 | 0x2E | 0x36 | 0x3E => {}
                0x64 | 0x65 | 0xF0 | 0xF2 | 0xF3 => return Err(DecodeError::Prefix(byte)),
                opcode => return Ok((prefixes, opcode)),
            }
            prefixes.rex = None;
        }
    }

    /// The operand's size where the opcode does not say "byte".
    const fn operand_part(&self) -> Part {
        match self.rex {
            Some(rex) if rex & 8 != 0 => Part::Qword,
            _ if self.has_operand_size => Part::Word,
            _ => Part::Dword,
        }
    }

    /// REX bit `bit` (B = 0, X = 1, R = 2) as bit 3 of a register number.
    fn extension(&self, bit: u8) -> u8 {
        (self.rex.unwrap_or(0) >> bit & 1) << 3
    }

    /// A register operand: without REX, the byte registers 4-7 are AH, CH, DH, BH.
    const fn register(&self, number: u8, part: Part) -> Register {
        match (part, number) {
            (Part::Byte, 4..=7) if self.rex.is_none() => {
                Register::new(Gpr::from_number(number - 4), Part::HighByte)
            }
            _ => Register::new(Gpr::from_number(number), part),
        }
    }
}

/// ModRM, SIB and displacement: the extended reg field and the memory operand.
/// [SDM2 2.1.5, 2.2.1.6]
fn mod_rm(code: &mut Code<'_>, prefixes: &Prefixes) -> Result<(u8, MemoryOperand), DecodeError> {
    let byte = code.next()?;
    let (mode, reg, rm) = (byte >> 6, byte >> 3 & 7, byte & 7);
    if mode == 3 {
        return Err(DecodeError::NoMemory);
    }
    let mut operand = MemoryOperand {
        base: Base::Register(Gpr::from_number(rm | prefixes.extension(0))),
        index: None,
        scale: 1,
        displacement: 0,
        is_32_bit: prefixes.has_address_size,
    };
    let mut displacement_bytes = [0, 1, 4][usize::from(mode)];
    if rm == 4 {
        let sib = code.next()?;
        let index = sib >> 3 & 7 | prefixes.extension(1);
        operand.index = (index != 4).then_some(Gpr::from_number(index));
        operand.scale = 1 << (sib >> 6);
        operand.base = Base::Register(Gpr::from_number(sib & 7 | prefixes.extension(0)));
        if mode == 0 && sib & 7 == 5 {
            operand.base = Base::None;
            displacement_bytes = 4;
        }
    } else if mode == 0 && rm == 5 {
        operand.base = Base::NextInstruction;
        displacement_bytes = 4;
    }
    if displacement_bytes != 0 {
        operand.displacement = code.signed(displacement_bytes)?;
    }
    Ok((reg | prefixes.extension(2), operand))
}

/// The address that A0-A3 carry: as wide as addresses are.
fn memory_offset(code: &mut Code<'_>, prefixes: &Prefixes) -> Result<MemoryOperand, DecodeError> {
    let is_32_bit = prefixes.has_address_size;
    let displacement = code.signed(if is_32_bit { 4 } else { 8 })?;
    Ok(MemoryOperand { base: Base::None, index: None, scale: 1, displacement, is_32_bit })
}

/// The immediate of C6 and C7: at most four bytes, sign-extended to eight.
fn immediate(code: &mut Code<'_>, part: Part) -> Result<u64, DecodeError> {
    let bytes = match part {
        Part::Byte | Part::HighByte => 1,
        Part::Word => 2,
        Part::Dword | Part::Qword => 4,
    };
    Ok(code.signed(bytes)?.cast_unsigned())
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
#[path = "decode_tests.rs"]
mod tests;
