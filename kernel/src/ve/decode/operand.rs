//! Memory operands: ModRM, SIB, displacement, moffs. [SDM2 2.1.3, 2.1.5, 2.2.1]

use abi::{Gpr, Regs};

use super::super::Segment;
use super::super::register::{Part, Register};
use super::DecodeError;
use super::code::{Code, Prefixes};

/// Segment base + (base + index * scale + displacement + bit offset).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryOperand {
    base: Base,
    index: Option<Gpr>,
    /// The index is multiplied by 2 to this power.
    scale_shift: u8,
    displacement: i64,
    /// The register that BT and its kin take the bit's number from: it reaches beyond the
    /// operand.
    bit_offset: Option<Register>,
    segment: Option<Segment>,
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
    /// \[`gpr`\], as string instructions address memory.
    pub(super) const fn pointer(gpr: Gpr, segment: Option<Segment>, is_32_bit: bool) -> Self {
        Self { base: Base::Register(gpr), ..Self::absolute(0, segment, is_32_bit) }
    }

    /// Address 0.
    pub(super) const NONE: Self = Self::absolute(0, None, false);

    const fn absolute(displacement: i64, segment: Option<Segment>, is_32_bit: bool) -> Self {
        Self {
            base: Base::None,
            index: None,
            scale_shift: 0,
            displacement,
            bit_offset: None,
            segment,
            is_32_bit,
        }
    }

    /// Moves the operand by the bit offset in `register`.
    pub(super) const fn add_bit_offset(&mut self, register: Register) {
        self.bit_offset = Some(register);
    }

    /// Becomes what ModRM, SIB and displacement say, and returns the extended reg field.
    #[inline(always)]
    pub(super) fn mod_rm(
        &mut self,
        code: &mut Code<'_>,
        prefixes: Prefixes,
    ) -> Result<u8, DecodeError> {
        let byte = code.next();
        let (mode, reg, rm) = (byte >> 6, byte >> 3 & 7, byte & 7);
        if mode == 3 {
            return Err(DecodeError::NoMemory);
        }
        *self = Self::absolute(0, prefixes.segment(), prefixes.has_address_size());
        let mut base = rm;
        if rm == 4 {
            let sib = code.next();
            base = sib & 7;
            let index = sib >> 3 & 7 | prefixes.extension(1);
            if index != 4 {
                self.index = Some(Gpr::from_number(index));
                self.scale_shift = sib >> 6;
            }
        }
        // In mode 0 the number of RBP, without REX, stands for a displacement alone.
        let is_bare = mode == 0 && base == 5;
        self.base = match (is_bare, rm) {
            (false, _) => Base::Register(Gpr::from_number(base | prefixes.extension(0))),
            (true, 4) => Base::None,
            (true, _) => Base::NextInstruction,
        };
        if mode == 1 {
            self.displacement = i64::from(code.signed_byte());
        } else if mode == 2 || is_bare {
            self.displacement = i64::from(code.signed_dword());
        }
        Ok(reg | prefixes.extension(2))
    }

    /// Addresses have 32 bits; so have, in a string instruction, pointers and counter.
    #[must_use]
    pub const fn is_32_bit(&self) -> bool {
        self.is_32_bit
    }

    /// The linear address. `next_rip` is the address behind the instruction, `base_of` is
    /// asked for a segment's base if the operand has an override that counts.
    #[must_use]
    pub fn address(&self, regs: &Regs, next_rip: u64, base_of: impl FnOnce(Segment) -> u64) -> u64 {
        let base = match self.base {
            Base::None => 0,
            Base::Register(gpr) => regs[gpr],
            Base::NextInstruction => next_rip,
        };
        let mut offset = base.wrapping_add_signed(self.displacement);
        if let Some(gpr) = self.index {
            offset = offset.wrapping_add(regs[gpr] << self.scale_shift);
        }
        if let Some(register) = self.bit_offset {
            offset = offset.wrapping_add_signed(bit_displacement(register, regs));
        }
        if self.is_32_bit {
            offset &= 0xFFFF_FFFF;
        }
        match self.segment {
            None => offset,
            Some(segment) => base_of(segment).wrapping_add(offset),
        }
    }
}

/// How far from the operand the bit numbered by `register` is: whole operands, in bytes.
/// The number is signed. [SDM2 3.1.1.9, BT]
fn bit_displacement(register: Register, regs: &Regs) -> i64 {
    let number = register.read(regs);
    match register.part {
        Part::Word => i64::from(number as i16) >> 4 << 1,
        Part::Qword => number.cast_signed() >> 6 << 3,
        _ => i64::from(number as i32) >> 5 << 2,
    }
}

/// The address that A0-A3 carry: as wide as addresses are.
pub(super) fn memory_offset(code: &mut Code<'_>, prefixes: Prefixes) -> MemoryOperand {
    let is_32_bit = prefixes.has_address_size();
    let displacement = if is_32_bit { i64::from(code.signed_dword()) } else { code.signed_qword() };
    MemoryOperand::absolute(displacement, prefixes.segment(), is_32_bit)
}
