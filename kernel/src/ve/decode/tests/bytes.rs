//! Byte strings for the decoder: good, cut off, overloaded with prefixes, senseless.

use crate::ve::random::Random;

/// Longer than any instruction.
const MAX_BYTES: usize = 24;

/// A byte string without a heap: a million of them are made.
#[derive(Clone, Copy)]
pub(crate) struct Bytes {
    bytes: [u8; MAX_BYTES],
    length: usize,
}

impl Bytes {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, byte: u8) {
        if self.length < MAX_BYTES {
            self.bytes[self.length] = byte;
            self.length += 1;
        }
    }
}

const PREFIXES: [u8; 20] = [
    0x66, 0x66, 0x66, 0x66, 0x67, 0x67, 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0xF2, 0xF3, 0xF0, 0x40,
    0x44, 0x48, 0x4B, 0x4F,
];

/// One-byte opcodes of the table and some neighbours.
const OPCODES: [u8; 24] = [
    0x88, 0x89, 0x8A, 0x8B, 0x8C, 0x8E, 0xA0, 0xA1, 0xA2, 0xA3, 0x63, 0x86, 0x87, 0x82, 0x84, 0x85,
    0xA4, 0xA5, 0xA6, 0xAA, 0xAB, 0xAC, 0xAD, 0xC4,
];

/// Opcodes that ModRM makes one of eight instructions.
const GROUPS: [u8; 9] = [0x80, 0x81, 0x83, 0xC6, 0xC7, 0xF6, 0xF7, 0xFE, 0xFF];

/// Behind 0F: the table, CMPXCHG, XADD, POPCNT, UD1.
const TWO_BYTE_OPCODES: [u8; 14] =
    [0xB6, 0xB7, 0xBE, 0xBF, 0xA3, 0xAB, 0xB3, 0xBB, 0xBA, 0xBA, 0xB1, 0xC1, 0xB8, 0xB9];

/// Half well-formed, half in one of the ways to be wrong or odd.
pub(crate) fn any(random: &mut Random) -> Bytes {
    let prefixes = match random.below(16) {
        0..=6 => 0,
        7..=10 => 1,
        11..=13 => random.below(4),
        _ => random.below(16),
    };
    let mut bytes = Bytes { bytes: [0; MAX_BYTES], length: 0 };
    for _ in 0..prefixes {
        // Most absurd strings repeat one prefix.
        let byte = if prefixes > 4 && bytes.length > 0 && !random.once_in(8) {
            bytes.bytes[bytes.length - 1]
        } else {
            random.pick(&PREFIXES)
        };
        bytes.push(byte);
    }
    if random.once_in(2) {
        bytes.push(0x40 | random.below(16) as u8);
    }
    opcode(random, &mut bytes);
    let mod_rm = if random.once_in(2) { random.next() as u8 & 0x3F } else { random.next() as u8 };
    bytes.push(mod_rm);
    let mut tail = random.next();
    while bytes.length < MAX_BYTES {
        bytes.push(tail as u8);
        tail = tail >> 8 ^ random.next() << 32;
    }
    if random.once_in(4) {
        bytes.length = random.below(MAX_BYTES as u64) as usize;
    }
    bytes
}

fn opcode(random: &mut Random, bytes: &mut Bytes) {
    match random.below(16) {
        0..=3 => bytes.push(random.pick(&OPCODES)),
        4..=6 => bytes.push(random.below(0x40) as u8),
        7..=10 => bytes.push(random.pick(&GROUPS)),
        11..=14 => {
            bytes.push(0x0F);
            bytes.push(random.pick(&TWO_BYTE_OPCODES));
        }
        _ => bytes.push(random.next() as u8),
    }
}
