//! An x86 instruction decoder for what the module must know itself, because the
//! CPU underneath gives neither the next RIP nor the instruction bytes. [SVM B2]
//!
//! It finds the length of an instruction and its memory operand; it does not say
//! whether the instruction is legal, since the CPU has decided that already.
//! Left out: the displacement scaling of EVEX and the addresses of gathers, which
//! give no memory operand.

mod effect;
mod operand;
mod tables;

use abi::Gpr;

pub(super) use operand::{Base, MemoryOperand, SegmentName};

/// Longest legal instruction.
pub(super) const MAX_LENGTH: usize = 15;

/// What CS and EFER make of the instruction bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CodeMode {
    /// 64-bit mode.
    Long64,
    /// Default operand and address size 32.
    Bits32,
    /// Default operand and address size 16.
    Bits16,
}

/// The last REP or REPNE prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Neither.
    #[default]
    None,
    /// F2.
    RepNe,
    /// F3.
    Rep,
}

/// Legacy prefixes and REX.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Prefixes {
    /// 66.
    pub operand_size: bool,
    /// 67.
    pub address_size: bool,
    /// F0.
    pub lock: bool,
    /// F2 or F3.
    pub repeat: Repeat,
    /// A segment override.
    pub segment: Option<SegmentName>,
    /// REX, or the same bits from a VEX prefix; 0 if there is none.
    pub rex: u8,
}

impl Prefixes {
    /// REX.W.
    #[must_use]
    pub(super) const fn wide(self) -> bool {
        self.rex & 8 != 0
    }
}

/// Opcode map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Map {
    /// One-byte opcodes.
    One,
    /// 0F.
    Two,
    /// 0F 38.
    ThreeByte38,
    /// 0F 3A.
    ThreeByte3A,
}

/// A decoded instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    /// Bytes, 1-15.
    pub length: u8,
    /// Prefixes.
    pub prefixes: Prefixes,
    /// Opcode map.
    pub map: Map,
    /// Opcode byte in the map.
    pub opcode: u8,
    /// The instruction has a VEX or EVEX prefix.
    pub is_vector: bool,
    /// ModRM.
    pub modrm: Option<u8>,
    /// The operand in memory that ModRM or a moffs field names.
    pub memory: Option<MemoryOperand>,
    /// Bits of its addresses: 16, 32 or 64.
    pub address_bits: u8,
    /// Bits of an operand that is not a byte, by prefix and mode: 16, 32 or 64.
    pub operand_bits: u8,
}

impl Instruction {
    /// The instruction is `0F 01 xx` with this last byte and the given 66 prefix,
    /// and none of F0, F2 and F3.
    #[must_use]
    pub(super) fn is_0f01(&self, modrm: u8, operand_size: bool) -> bool {
        self.map == Map::Two
            && self.opcode == 0x01
            && self.modrm == Some(modrm)
            && !self.is_vector
            && !self.prefixes.lock
            && self.prefixes.repeat == Repeat::None
            && self.prefixes.operand_size == operand_size
    }

    /// ModRM.reg with REX.R.
    #[must_use]
    pub(super) fn reg(&self) -> u8 {
        self.modrm.unwrap_or(0) >> 3 & 7 | (self.prefixes.rex & 4) << 1
    }

    /// ModRM.rm with REX.B, as a register.
    #[must_use]
    pub(super) fn rm(&self) -> Gpr {
        Gpr::from_number(self.modrm.unwrap_or(0) & 7 | (self.prefixes.rex & 1) << 3)
    }
}

/// Decodes the instruction at the start of `bytes`; none if it does not end there.
#[must_use]
pub(super) fn decode(bytes: &[u8], mode: CodeMode) -> Option<Instruction> {
    let mut reader = Reader { bytes: bytes.get(..MAX_LENGTH).unwrap_or(bytes), at: 0 };
    let mut prefixes = legacy_prefixes(&mut reader, mode)?;
    let head = opcode(&mut reader, &mut prefixes, mode)?;
    let mut modrm = None;
    let mut memory = None;
    if tables::has_modrm(head, mode) {
        let byte = reader.byte()?;
        modrm = Some(byte);
        if byte >> 6 != 3 && !tables::is_register_only(head) {
            memory = Some(operand::modrm_memory(&mut reader, byte, prefixes, mode)?);
        }
    } else if tables::is_moffs(head) {
        memory = Some(operand::moffs(&mut reader, prefixes, mode)?);
    }
    reader.skip(tables::immediate(head, modrm, prefixes, mode))?;
    if head.is_evex {
        memory = None;
    }
    Some(Instruction {
        length: u8::try_from(reader.at).ok()?,
        prefixes,
        map: head.map,
        opcode: head.byte,
        is_vector: head.is_vector,
        modrm,
        memory,
        address_bits: operand::address_bits(prefixes, mode),
        operand_bits: tables::operand_bits(prefixes, mode),
    })
}

/// Opcode with what a vector prefix said about it.
#[derive(Clone, Copy, Debug)]
struct Opcode {
    map: Map,
    byte: u8,
    is_vector: bool,
    is_evex: bool,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at += count;
        (self.at <= self.bytes.len()).then_some(())
    }

    /// A little-endian number of 1, 2, 4 or 8 bytes, sign-extended.
    fn signed(&mut self, count: usize) -> Option<i64> {
        let mut value = 0u64;
        for i in 0..count {
            value |= u64::from(self.byte()?) << (8 * i);
        }
        let shift = 64 - 8 * count as u32;
        Some(if count == 0 { 0 } else { ((value << shift) as i64) >> shift })
    }
}

fn legacy_prefixes(reader: &mut Reader<'_>, mode: CodeMode) -> Option<Prefixes> {
    let mut prefixes = Prefixes::default();
    loop {
        match reader.peek()? {
            0x66 => prefixes.operand_size = true,
            0x67 => prefixes.address_size = true,
            0xF0 => prefixes.lock = true,
            0xF2 => prefixes.repeat = Repeat::RepNe,
            0xF3 => prefixes.repeat = Repeat::Rep,
            0x26 => prefixes.segment = Some(SegmentName::Es),
            0x2E => prefixes.segment = Some(SegmentName::Cs),
            0x36 => prefixes.segment = Some(SegmentName::Ss),
            0x3E => prefixes.segment = Some(SegmentName::Ds),
            0x64 => prefixes.segment = Some(SegmentName::Fs),
            0x65 => prefixes.segment = Some(SegmentName::Gs),
            rex @ 0x40..=0x4F if mode == CodeMode::Long64 => {
                // A REX that is not last is ignored.
                reader.at += 1;
                if !is_prefix(reader.peek()?, mode) {
                    prefixes.rex = rex;
                    return Some(prefixes);
                }
                continue;
            }
            _ => return Some(prefixes),
        }
        reader.at += 1;
    }
}

fn is_prefix(byte: u8, mode: CodeMode) -> bool {
    matches!(byte, 0x66 | 0x67 | 0xF0 | 0xF2 | 0xF3 | 0x26 | 0x2E | 0x36 | 0x3E | 0x64 | 0x65)
        || mode == CodeMode::Long64 && byte >> 4 == 4
}

fn opcode(reader: &mut Reader<'_>, prefixes: &mut Prefixes, mode: CodeMode) -> Option<Opcode> {
    let legacy = |map, byte| Opcode { map, byte, is_vector: false, is_evex: false };
    let first = reader.byte()?;
    let next = reader.peek();
    let is_vex = mode == CodeMode::Long64 || next.is_some_and(|byte| byte >> 6 == 3);
    match first {
        0x0F => match reader.byte()? {
            0x38 => Some(legacy(Map::ThreeByte38, reader.byte()?)),
            0x3A => Some(legacy(Map::ThreeByte3A, reader.byte()?)),
            second => Some(legacy(Map::Two, second)),
        },
        0xC5 if is_vex => {
            let p = reader.byte()?;
            vector(reader, prefixes, mode, (p >> 5 & 4) ^ 4, 1, false)
        }
        0xC4 if is_vex => {
            let (p0, p1) = (reader.byte()?, reader.byte()?);
            let rex = (p0 >> 5) ^ 7 | p1 >> 4 & 8;
            vector(reader, prefixes, mode, rex, p0 & 0x1F, false)
        }
        0x62 if is_vex => {
            let (p0, p1, _) = (reader.byte()?, reader.byte()?, reader.byte()?);
            let rex = (p0 >> 5) ^ 7 | p1 >> 4 & 8;
            vector(reader, prefixes, mode, rex, p0 & 7, true)
        }
        _ => Some(legacy(Map::One, first)),
    }
}

fn vector(
    reader: &mut Reader<'_>,
    prefixes: &mut Prefixes,
    mode: CodeMode,
    rex: u8,
    map: u8,
    is_evex: bool,
) -> Option<Opcode> {
    // Outside 64-bit mode the extension bits do not select registers.
    prefixes.rex = if mode == CodeMode::Long64 { rex } else { 0 };
    let map = match map {
        1 => Map::Two,
        2 => Map::ThreeByte38,
        3 => Map::ThreeByte3A,
        _ => return None,
    };
    Some(Opcode { map, byte: reader.byte()?, is_vector: true, is_evex })
}

#[cfg(test)]
mod tests;
