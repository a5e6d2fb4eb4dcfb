//! The bytes of an instruction with a memory operand.

use abi::Gpr;

/// An instruction's bytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Code {
    bytes: [u8; 32],
    length: usize,
}

impl Code {
    /// The bytes so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Adds bytes.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// Adds the low bytes of a number.
    pub(crate) fn put_number(&mut self, value: u64, bytes: usize) {
        self.put(&value.to_le_bytes()[..bytes]);
    }
}

/// base + index * scale + displacement.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) base: Gpr,
    /// With the scale's logarithm.
    pub(crate) index: Option<(Gpr, u8)>,
    /// 0, 1 or 4.
    pub(crate) displacement_bytes: usize,
    pub(crate) displacement: i32,
}

impl Memory {
    /// What the base must hold for the operand to be at `address`.
    pub(crate) fn base_for(&self, address: u64, index: u64) -> u64 {
        let scale = self.index.map_or(0, |(_, scale)| index << scale);
        address.wrapping_sub(scale).wrapping_sub(i64::from(self.displacement) as u64)
    }

    /// ModRM, SIB and displacement.
    pub(crate) fn put(&self, code: &mut Code, reg: u8) {
        let number = |gpr: Gpr| gpr as u8 & 7;
        let mode = match self.displacement_bytes {
            0 => 0,
            1 => 0x40,
            _ => 0x80,
        };
        let reg = (reg & 7) << 3;
        let base = number(self.base);
        match self.index {
            Some((index, scale)) => {
                code.put(&[mode | reg | 4, scale << 6 | number(index) << 3 | base]);
            }
            None if base == 4 => code.put(&[mode | reg | 4, 0x24]),
            None => code.put(&[mode | reg | base]),
        }
        code.put_number(i64::from(self.displacement) as u64, self.displacement_bytes);
    }

    /// REX without its upper half: W, and the upper bits of the three registers.
    pub(crate) fn rex(&self, is_wide: bool, reg: u8) -> u8 {
        let index = self.index.map_or(0, |(index, _)| index as u8);
        u8::from(is_wide) << 3 | (reg >> 3) << 2 | (index >> 3) << 1 | self.base as u8 >> 3
    }
}
