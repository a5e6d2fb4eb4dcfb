//! The bytes of an instruction and its prefixes. [SDM2 2.1.1, 2.2.1]

use abi::Gpr;

use super::super::Segment;
use super::super::register::{Part, Register};
use super::{DecodeError, MAX_LENGTH};

/// The bytes, taken one after the other.
pub(super) struct Code<'a> {
    /// At most 15.
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Code<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: bytes.get(..MAX_LENGTH).unwrap_or(bytes), position: 0 }
    }

    /// How many were taken.
    pub(super) const fn position(&self) -> u8 {
        self.position as u8
    }

    pub(super) fn next(&mut self) -> Result<u8, DecodeError> {
        let byte = *self.bytes.get(self.position).ok_or_else(|| self.end())?;
        self.position += 1;
        Ok(byte)
    }

    /// The next `N` bytes.
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let array = *rest.first_chunk().ok_or_else(|| self.end())?;
        self.position += N;
        Ok(array)
    }

    /// One byte, sign-extended.
    pub(super) fn signed_byte(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from(self.next()?.cast_signed()))
    }

    /// Two bytes, sign-extended.
    pub(super) fn signed_word(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from(i16::from_le_bytes(self.array()?)))
    }

    /// Four bytes, sign-extended.
    pub(super) fn signed_dword(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from(i32::from_le_bytes(self.array()?)))
    }

    /// Eight bytes.
    pub(super) fn signed_qword(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// Why there are no more bytes.
    #[cold]
    const fn end(&self) -> DecodeError {
        if self.bytes.len() < MAX_LENGTH { DecodeError::Truncated } else { DecodeError::TooLong }
    }
}

/// The prefixes before an opcode.
pub(super) struct Prefixes {
    /// The REX byte, 0 if there is none.
    rex: u8,
    has_operand_size: bool,
    /// Addresses have 32 bits.
    pub(super) has_address_size: bool,
    /// F0.
    pub(super) has_lock: bool,
    /// The last of F2 and F3, 0 if there is neither.
    pub(super) repeat: u8,
    /// The last of the overrides that do something in 64-bit mode.
    pub(super) segment: Option<Segment>,
}

impl Prefixes {
    const NONE: Self = Self {
        rex: 0,
        has_operand_size: false,
        has_address_size: false,
        has_lock: false,
        repeat: 0,
        segment: None,
    };

    /// Takes the prefixes and the first opcode byte. Prefixes come in any order and any
    /// number; a REX byte counts only directly before the opcode. [SDM2 2.2.1]
    pub(super) fn read(code: &mut Code<'_>) -> Result<(Self, u8), DecodeError> {
        let mut prefixes = Self::NONE;
        loop {
            let byte = code.next()?;
            match byte {
                0x40..=0x4F => {
                    prefixes.rex = byte;
                    continue;
                }
                0x66 => prefixes.has_operand_size = true,
                0x67 => prefixes.has_address_size = true,
                // ES, CS, SS, DS do nothing in 64-bit mode, not even to FS and GS.
                0x26 | 0x2E | 0x36 | 0x3E => {}
                0x64 => prefixes.segment = Some(Segment::Fs),
                0x65 => prefixes.segment = Some(Segment::Gs),
                0xF0 => prefixes.has_lock = true,
                0xF2 | 0xF3 => prefixes.repeat = byte,
                opcode => return Ok((prefixes, opcode)),
            }
            prefixes.rex = 0;
        }
    }

    /// The operand's size where the opcode does not say "byte".
    pub(super) const fn operand_part(&self) -> Part {
        if self.rex & 8 != 0 {
            Part::Qword
        } else if self.has_operand_size {
            Part::Word
        } else {
            Part::Dword
        }
    }

    /// REX bit `bit` (B = 0, X = 1, R = 2) as bit 3 of a register number.
    pub(super) const fn extension(&self, bit: u8) -> u8 {
        (self.rex >> bit & 1) << 3
    }

    /// A register operand: without REX, the byte registers 4-7 are AH, CH, DH, BH.
    pub(super) const fn register(&self, number: u8, part: Part) -> Register {
        match (part, number) {
            (Part::Byte, 4..=7) if self.rex == 0 => {
                Register::new(Gpr::from_number(number - 4), Part::HighByte)
            }
            _ => Register::new(Gpr::from_number(number), part),
        }
    }
}
