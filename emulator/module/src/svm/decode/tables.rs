//! Which opcodes have a ModRM byte and how long their immediates are.
//! [SDM2 appendix A]

use super::{CodeMode, Map, Opcode, Prefixes};

/// The opcode is followed by a ModRM byte.
pub(super) fn has_modrm(head: Opcode, mode: CodeMode) -> bool {
    let opcode = head.byte;
    match head.map {
        Map::ThreeByte38 | Map::ThreeByte3A => true,
        Map::Two => !matches!(
            opcode,
            0x04..=0x0C
                | 0x0E
                | 0x30..=0x37
                | 0x77
                | 0x80..=0x8F
                | 0xA0..=0xA2
                | 0xA8..=0xAA
                | 0xC8..=0xCF
        ),
        Map::One => match opcode {
            0x00..=0x3F => opcode & 7 < 4,
            0x62 | 0xC4 | 0xC5 => mode != CodeMode::Long64,
            _ => matches!(
                opcode,
                0x63 | 0x69
                    | 0x6B
                    | 0x80..=0x8F
                    | 0xC0
                    | 0xC1
                    | 0xC6
                    | 0xC7
                    | 0xD0..=0xD3
                    | 0xD8..=0xDF
                    | 0xF6
                    | 0xF7
                    | 0xFE
                    | 0xFF
            ),
        },
    }
}

/// ModRM names registers whatever its mod field says: MOV to and from CR and DR.
pub(super) fn is_register_only(head: Opcode) -> bool {
    head.map == Map::Two && matches!(head.byte, 0x20..=0x23) && !head.is_vector
}

/// MOV between the accumulator and an address in the instruction.
pub(super) fn is_moffs(head: Opcode) -> bool {
    head.map == Map::One && matches!(head.byte, 0xA0..=0xA3)
}

/// Bits of an operand that is not a byte.
pub(super) fn operand_bits(prefixes: Prefixes, mode: CodeMode) -> u8 {
    match (mode == CodeMode::Bits16) != prefixes.operand_size {
        _ if prefixes.wide() => 64,
        true => 16,
        false => 32,
    }
}

/// Bytes of immediate.
pub(super) fn immediate(
    head: Opcode,
    modrm: Option<u8>,
    prefixes: Prefixes,
    mode: CodeMode,
) -> usize {
    let z = if operand_bits(prefixes, mode) == 16 { 2 } else { 4 };
    match head.map {
        Map::ThreeByte38 => 0,
        Map::ThreeByte3A => 1,
        Map::Two => match head.byte {
            0x70..=0x73 | 0xC2 | 0xC4..=0xC6 => 1,
            0x0F | 0xA4 | 0xAC | 0xBA if !head.is_vector => 1,
            0x80..=0x8F if !head.is_vector => near_branch(mode, z),
            _ => 0,
        },
        Map::One => one_byte(head.byte, modrm.unwrap_or(0), z, prefixes, mode),
    }
}

fn one_byte(opcode: u8, modrm: u8, z: usize, prefixes: Prefixes, mode: CodeMode) -> usize {
    match opcode {
        0x00..=0x3F if opcode & 7 == 4 => 1,
        0x00..=0x3F if opcode & 7 == 5 => z,
        _ if has_byte(opcode) => 1,
        0xB8..=0xBF if prefixes.wide() => 8,
        0x68 | 0x69 | 0x81 | 0xA9 | 0xB8..=0xBF | 0xC7 => z,
        0xE8 | 0xE9 => near_branch(mode, z),
        0x9A | 0xEA => z + 2,
        0xC2 | 0xCA => 2,
        0xC8 => 3,
        0xF6 if modrm >> 3 & 7 < 2 => 1,
        0xF7 if modrm >> 3 & 7 < 2 => z,
        _ => 0,
    }
}

/// An opcode above 0x3F with an immediate or displacement of one byte.
const fn has_byte(opcode: u8) -> bool {
    match opcode {
        0x6A | 0x6B | 0x70..=0x7F | 0x80 | 0x82 | 0x83 | 0xA8 | 0xB0..=0xB7 => true,
        _ => matches!(opcode, 0xC0 | 0xC1 | 0xC6 | 0xCD | 0xD4 | 0xD5 | 0xE0..=0xE7 | 0xEB),
    }
}

/// In 64-bit mode the displacement of a near branch is always 32 bits, as on Intel.
fn near_branch(mode: CodeMode, z: usize) -> usize {
    if mode == CodeMode::Long64 { 4 } else { z }
}
