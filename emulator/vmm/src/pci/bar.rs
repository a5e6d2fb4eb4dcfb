//! Base address registers of a function, and where they may lie. [PCI 6.2.5.1]

use super::config::{self, Address};
use crate::ram::Range;
use crate::seam::Devices;

/// Where a TD may put the memory of its devices: the lower part of q35's PCI hole. QEMU has
/// no device of its own there, SeaBIOS puts others from 0xFE00_0000 up, and no TD has RAM
/// there. The kernel knows the same range.
pub const WINDOW: Range = Range::new(0xC000_0000, 0xE000_0000);

/// Registers of a function with a type 0 header.
pub(super) const COUNT: u8 = 6;
/// The first one.
const FIRST: u8 = 0x10;

/// Ports, not memory.
const IO: u32 = 1 << 0;
/// Bits 2:1: 64 bits, so that the next register is the upper half.
const TYPE: u32 = 3 << 1;
const TYPE_64: u32 = 2 << 1;
/// Bits of a memory register that are no address.
const FLAGS: u64 = 0xF;

/// A memory register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bar {
    /// Offset of its (lower) half in configuration space.
    register: u8,
    is_wide: bool,
    /// Bytes that it covers: a power of two.
    size: u64,
    /// Where the function has it.
    address: u64,
}

impl Bar {
    /// The register at `register`, or its upper half, is this one's.
    pub(super) const fn is_at(&self, register: u8) -> bool {
        register == self.register || self.is_wide && register == self.register + 4
    }

    /// What it covers. An address near 2^64 ends there.
    pub(super) const fn range(&self) -> Range {
        Range::new(self.address, self.address.saturating_add(self.size))
    }

    /// Reads where the function has it now.
    pub(super) fn read_back(&mut self, devices: &mut dyn Devices, at: Address) {
        let low = config::read(devices, at, self.register);
        let high = if self.is_wide { config::read(devices, at, self.register + 4) } else { 0 };
        self.address = (u64::from(high) << 32 | u64::from(low)) & !FLAGS;
    }
}

/// The memory registers of a function, sized and set to 0, as after a reset. Memory decoding
/// is off. What is not memory has no place in the list.
pub(super) fn reset(devices: &mut dyn Devices, at: Address) -> [Option<Bar>; COUNT as usize] {
    let mut bars = [None; COUNT as usize];
    let mut index = 0;
    while index < COUNT {
        let register = FIRST + 4 * index;
        let low = probe(devices, at, register);
        let is_wide = low & (IO | TYPE) == TYPE_64 && index + 1 < COUNT;
        let high = if is_wide { probe(devices, at, register + 4) } else { u32::MAX };
        if low & IO == 0 && low != 0 {
            let mask = (u64::from(high) << 32 | u64::from(low)) & !FLAGS;
            let size = (!mask).wrapping_add(1);
            bars[usize::from(index)] = Some(Bar { register, is_wide, size, address: 0 });
        }
        index += 1 + u8::from(is_wide);
    }
    bars
}

/// Where another function has memory, by what its firmware left.
pub(super) fn occupied(devices: &mut dyn Devices, at: Address) -> impl Iterator<Item = Range> {
    // Without its size: a register that begins below the window and reaches into it would
    // have to be larger than everything that QEMU has.
    let lows = core::array::from_fn::<_, { COUNT as usize }, _>(|index| {
        config::read(devices, at, FIRST + 4 * index as u8)
    });
    lows.into_iter().filter(|low| low & IO == 0).map(|low| {
        let start = u64::from(low) & !FLAGS;
        Range::new(start, start + 1)
    })
}

/// The bits of a register that can be written, which is 0 afterwards.
fn probe(devices: &mut dyn Devices, at: Address, register: u8) -> u32 {
    config::write(devices, at, register, u32::MAX);
    let bits = config::read(devices, at, register);
    config::write(devices, at, register, 0);
    bits
}
