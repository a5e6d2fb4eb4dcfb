//! Which opcodes are decoded, and what they have in common. [SDM2 A]

/// Opcodes that are decoded in the same way. MOV between a register and memory is elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// 88-8B with a prefix that they do not have.
    Move,
    /// MOV r/m, imm.
    StoreImmediate,
    /// MOV between the accumulator and an address in the instruction.
    Accumulator,
    /// MOVZX, MOVSX.
    Extend,
    /// MOVSXD.
    Movsxd,
    /// XCHG.
    Exchange,
    /// ADD OR ADC SBB AND SUB XOR CMP with a register.
    Arithmetic,
    /// The same with an immediate.
    Group1,
    /// TEST r/m, r.
    Test,
    /// TEST r/m, imm; NOT, NEG.
    Group3,
    /// INC, DEC.
    Groups4And5,
    /// BT, BTS, BTR, BTC with a register.
    BitTest,
    /// The same with an immediate.
    BitTestImmediate,
    /// MOVS, STOS, LODS.
    String,
}

impl Form {
    /// Of an opcode of one byte, which is no prefix.
    pub(super) const fn of_one_byte(opcode: u8) -> Option<Self> {
        Some(match opcode {
            0x88..=0x8B => Self::Move,
            0xC6 | 0xC7 => Self::StoreImmediate,
            0xA0..=0xA3 => Self::Accumulator,
            0x63 => Self::Movsxd,
            0x86 | 0x87 => Self::Exchange,
            0x00..=0x3B if opcode & 4 == 0 => Self::Arithmetic,
            0x80 | 0x81 | 0x83 => Self::Group1,
            0x84 | 0x85 => Self::Test,
            0xF6 | 0xF7 => Self::Group3,
            0xFE | 0xFF => Self::Groups4And5,
            0xA4 | 0xA5 | 0xAA..=0xAD => Self::String,
            _ => return None,
        })
    }

    /// Of an opcode behind 0F.
    pub(super) const fn of_two_bytes(opcode: u8) -> Option<Self> {
        Some(match opcode {
            0xB6 | 0xB7 | 0xBE | 0xBF => Self::Extend,
            0xA3 | 0xAB | 0xB3 | 0xBB => Self::BitTest,
            0xBA => Self::BitTestImmediate,
            _ => return None,
        })
    }
}
