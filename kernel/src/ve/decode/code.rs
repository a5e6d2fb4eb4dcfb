//! The bytes of an instruction and its prefixes. [SDM2 2.1.1, 2.2.1]

use abi::Gpr;

use super::super::Segment;
use super::super::register::{Part, Register};
use super::{DecodeError, MAX_LENGTH};

/// The bytes, taken one after the other. Behind their end are zeros: whoever takes bytes
/// asks [`Code::overrun`] when done.
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
    pub(super) const fn position(&self) -> usize {
        self.position
    }

    /// The error, if more were taken than there are.
    pub(super) const fn overrun(&self) -> Option<DecodeError> {
        if self.position <= self.bytes.len() {
            None
        } else if self.bytes.len() < MAX_LENGTH {
            Some(DecodeError::Truncated)
        } else {
            Some(DecodeError::TooLong)
        }
    }

    #[inline(always)]
    pub(super) fn next(&mut self) -> u8 {
        let byte = self.bytes.get(self.position).copied();
        self.position += 1;
        byte.unwrap_or(0)
    }

    /// The next `N` bytes; all are 0 if one is missing.
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        self.position += N;
        rest.first_chunk().copied().unwrap_or([0; N])
    }

    /// One byte, sign-extended.
    pub(super) fn signed_byte(&mut self) -> i32 {
        i32::from(self.next().cast_signed())
    }

    /// Two bytes, sign-extended.
    pub(super) fn signed_word(&mut self) -> i32 {
        i32::from(i16::from_le_bytes(self.array()))
    }

    /// Four bytes.
    pub(super) fn signed_dword(&mut self) -> i32 {
        i32::from_le_bytes(self.array())
    }

    /// Eight bytes.
    pub(super) fn signed_qword(&mut self) -> i64 {
        i64::from_le_bytes(self.array())
    }
}

/// The prefixes before an opcode, as bits.
#[derive(Clone, Copy)]
pub(super) struct Prefixes(u32);

impl Prefixes {
    /// Bits 3:0 are W, R, X and B.
    const REX: u32 = 1 << 6;
    const REX_BITS: u32 = 0x4F;
    const OPERAND_SIZE: u32 = 1 << 8;
    const ADDRESS_SIZE: u32 = 1 << 9;
    const LOCK: u32 = 1 << 10;
    const REPEAT: u32 = 1 << 11;
    const FS: u32 = 1 << 12;
    const GS: u32 = 1 << 13;

    /// Takes the prefixes and the first opcode byte. Prefixes come in any order and any
    /// number; a REX byte counts only directly before the opcode. [SDM2 2.2.1]
    #[inline]
    pub(super) fn read(code: &mut Code<'_>) -> (Self, u8) {
        let mut bits = 0;
        loop {
            let byte = code.next();
            if byte & 0xFC == 0x88 {
                return (Self(bits), byte);
            }
            let bit = match byte {
                0x40..=0x4F => {
                    bits = bits & !Self::REX_BITS | u32::from(byte);
                    continue;
                }
                0x66 => Self::OPERAND_SIZE,
                0x67 => Self::ADDRESS_SIZE,
                // ES, CS, SS, DS do nothing in 64-bit mode, not even to FS and GS.
                0x26 | 0x2E | 0x36 | 0x3E => 0,
                0x64 => {
                    bits &= !Self::GS;
                    Self::FS
                }
                0x65 => {
                    bits &= !Self::FS;
                    Self::GS
                }
                0xF0 => Self::LOCK,
                0xF2 | 0xF3 => Self::REPEAT,
                opcode => return (Self(bits), opcode),
            };
            bits = bits & !Self::REX_BITS | bit;
        }
    }

    const fn has(self, bit: u32) -> bool {
        self.0 & bit != 0
    }

    /// F0.
    pub(super) const fn has_lock(self) -> bool {
        self.has(Self::LOCK)
    }

    /// F0, F2 or F3.
    pub(super) const fn has_lock_or_repeat(self) -> bool {
        self.has(Self::LOCK | Self::REPEAT)
    }

    /// F2 or F3.
    pub(super) const fn has_repeat(self) -> bool {
        self.has(Self::REPEAT)
    }

    /// Addresses have 32 bits.
    pub(super) const fn has_address_size(self) -> bool {
        self.has(Self::ADDRESS_SIZE)
    }

    /// The last of the overrides that do something in 64-bit mode.
    pub(super) const fn segment(self) -> Option<Segment> {
        if self.has(Self::FS) {
            Some(Segment::Fs)
        } else if self.has(Self::GS) {
            Some(Segment::Gs)
        } else {
            None
        }
    }

    /// The operand's size where the opcode does not say "byte".
    pub(super) const fn operand_part(self) -> Part {
        if self.has(8) {
            Part::Qword
        } else if self.has(Self::OPERAND_SIZE) {
            Part::Word
        } else {
            Part::Dword
        }
    }

    /// REX bit `bit` (B = 0, X = 1, R = 2) as bit 3 of a register number.
    pub(super) const fn extension(self, bit: u8) -> u8 {
        (self.0 >> bit & 1) as u8 * 8
    }

    /// A register operand: without REX, the byte registers 4-7 are AH, CH, DH, BH.
    pub(super) const fn register(self, number: u8, part: Part) -> Register {
        match (part, number) {
            (Part::Byte, 4..=7) if !self.has(Self::REX) => {
                Register::new(Gpr::from_number(number - 4), Part::HighByte)
            }
            _ => Register::new(Gpr::from_number(number), part),
        }
    }
}
