//! Memory operands: what ModRM, SIB and moffs fields name. [SDM2 2.1.5]

use abi::{Gpr, Regs};

use super::{CodeMode, Prefixes, Reader};

/// A segment register by its number in instructions.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentName {
    Es = 0,
    Cs = 1,
    Ss = 2,
    Ds = 3,
    Fs = 4,
    Gs = 5,
}

/// What the displacement is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// Nothing.
    None,
    /// A register.
    Gpr(Gpr),
    /// The address of the next instruction.
    NextRip,
}

/// A memory operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryOperand {
    /// The segment, by override or by default.
    pub segment: SegmentName,
    /// Base.
    pub base: Base,
    /// Index register and the binary logarithm of its scale.
    pub index: Option<(Gpr, u8)>,
    /// Displacement.
    pub displacement: i64,
    /// Bits of the address: 16, 32 or 64.
    pub address_bits: u8,
}

impl MemoryOperand {
    /// The offset in the segment.
    #[must_use]
    pub(crate) fn offset(&self, regs: &Regs, next_rip: u64) -> u64 {
        let base = match self.base {
            Base::None => 0,
            Base::Gpr(gpr) => regs[gpr],
            Base::NextRip => next_rip,
        };
        let index = self.index.map_or(0, |(gpr, scale)| regs[gpr] << scale);
        truncate(base.wrapping_add(index).wrapping_add_signed(self.displacement), self.address_bits)
    }
}

/// The low `bits` of `address`.
#[must_use]
pub(super) const fn truncate(address: u64, bits: u8) -> u64 {
    match bits {
        16 => address & 0xFFFF,
        32 => address & 0xFFFF_FFFF,
        _ => address,
    }
}

/// Bits of an address with these prefixes.
#[must_use]
pub(super) const fn address_bits(prefixes: Prefixes, mode: CodeMode) -> u8 {
    match (mode, prefixes.address_size) {
        (CodeMode::Long64, false) => 64,
        (CodeMode::Long64 | CodeMode::Bits16, true) | (CodeMode::Bits32, false) => 32,
        (CodeMode::Bits32, true) | (CodeMode::Bits16, false) => 16,
    }
}

pub(super) fn moffs(
    reader: &mut Reader<'_>,
    prefixes: Prefixes,
    mode: CodeMode,
) -> Option<MemoryOperand> {
    let address_bits = address_bits(prefixes, mode);
    let displacement = reader.signed(usize::from(address_bits) / 8)?;
    let segment = prefixes.segment.unwrap_or(SegmentName::Ds);
    Some(MemoryOperand { segment, base: Base::None, index: None, displacement, address_bits })
}

pub(super) fn modrm_memory(
    reader: &mut Reader<'_>,
    modrm: u8,
    prefixes: Prefixes,
    mode: CodeMode,
) -> Option<MemoryOperand> {
    let address_bits = address_bits(prefixes, mode);
    let mut operand = MemoryOperand {
        segment: SegmentName::Ds,
        base: Base::None,
        index: None,
        displacement: 0,
        address_bits,
    };
    if address_bits == 16 {
        sixteen(reader, modrm, &mut operand)?;
    } else {
        wide(reader, modrm, prefixes, mode, &mut operand)?;
    }
    if let Base::Gpr(Gpr::Rsp | Gpr::Rbp) = operand.base {
        operand.segment = SegmentName::Ss;
    }
    operand.segment = prefixes.segment.unwrap_or(operand.segment);
    Some(operand)
}

fn wide(
    reader: &mut Reader<'_>,
    modrm: u8,
    prefixes: Prefixes,
    mode: CodeMode,
    operand: &mut MemoryOperand,
) -> Option<()> {
    let (form, rm) = (modrm >> 6, modrm & 7);
    let mut base = rm;
    if rm == 4 {
        let sib = reader.byte()?;
        let index = sib >> 3 & 7 | (prefixes.rex & 2) << 2;
        operand.index = (index != 4).then_some((Gpr::from_number(index), sib >> 6));
        base = sib & 7;
    }
    operand.base = match (form, base, rm) {
        (0, 5, 5) if mode == CodeMode::Long64 => Base::NextRip,
        (0, 5, _) => Base::None,
        _ => Base::Gpr(Gpr::from_number(base | (prefixes.rex & 1) << 3)),
    };
    operand.displacement = match form {
        1 => reader.signed(1)?,
        0 if base != 5 => 0,
        _ => reader.signed(4)?,
    };
    Some(())
}

/// The eight address forms of 16-bit addressing.
fn sixteen(reader: &mut Reader<'_>, modrm: u8, operand: &mut MemoryOperand) -> Option<()> {
    const FORMS: [(Option<Gpr>, Option<Gpr>); 8] = [
        (Some(Gpr::Rbx), Some(Gpr::Rsi)),
        (Some(Gpr::Rbx), Some(Gpr::Rdi)),
        (Some(Gpr::Rbp), Some(Gpr::Rsi)),
        (Some(Gpr::Rbp), Some(Gpr::Rdi)),
        (Some(Gpr::Rsi), None),
        (Some(Gpr::Rdi), None),
        (Some(Gpr::Rbp), None),
        (Some(Gpr::Rbx), None),
    ];
    let (form, rm) = (modrm >> 6, modrm & 7);
    let is_direct = form == 0 && rm == 6;
    if !is_direct {
        let (base, index) = FORMS[usize::from(rm)];
        operand.base = base.map_or(Base::None, Base::Gpr);
        operand.index = index.map(|gpr| (gpr, 0));
    }
    operand.displacement = match form {
        1 => reader.signed(1)?,
        2 => reader.signed(2)?,
        _ if is_direct => reader.signed(2)?,
        _ => 0,
    };
    Some(())
}
