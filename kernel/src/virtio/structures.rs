//! The structures of a virtio function, checked in the copy of its configuration space before
//! anybody maps them. [VIRTIO 4.1.4]

use crate::pci::Snapshot;

/// Types of the structures that a driver works on: common, notification, interrupt status,
/// device.
const TYPES: core::ops::RangeInclusive<u8> = 1..=4;
/// Bytes of a capability of these types, at least.
const CAPABILITY_BYTES: u8 = 16;
/// Offsets in it: number of the base address register, where in its memory, how long.
const BAR: u8 = 4;
const OFFSET: u8 = 8;
const LENGTH: u8 = 12;

/// Numbers of the base address registers that have structures, as bits. None if a structure
/// is not in the memory that it names, or that memory is larger than `max`.
pub(super) fn registers(snapshot: &Snapshot, max: u64) -> Option<u8> {
    let mut registers = 0;
    for (at, length, kind) in snapshot.vendor_capabilities() {
        if length < CAPABILITY_BYTES || !TYPES.contains(&kind) {
            continue;
        }
        let index = snapshot.word(at + BAR) as u8;
        let memory = snapshot.memory(index)?;
        let offset = u64::from(snapshot.word(at + OFFSET));
        let size = memory.end - memory.start;
        if offset + u64::from(snapshot.word(at + LENGTH)) > size || size > max {
            return None;
        }
        registers |= 1 << index;
    }
    Some(registers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::fakes::Bus;
    use crate::pci::{Address, Window};

    const AT: Address = Address { device: 3, function: 0 };

    /// One structure of type 1 in BAR 4, which has 16 KiB.
    fn with(bar: u32, offset: u32, length: u32) -> Option<u8> {
        let mut bus = Bus::default();
        bus.add(
            AT,
            &[
                (0x00, 0x1042_1AF4),
                (0x04, 0x0010_0000),
                (0x34, 0x40),
                (0x40, 0x0110_0009),
                (0x44, bar),
                (0x48, offset),
                (0x4C, length),
            ],
        );
        bus.mask(AT, 0x04, 0xFFFF);
        bus.mask(AT, 0x20, 0xFFFF_C000);
        let snapshot = Snapshot::take(&mut bus, AT, &mut Window::new()).unwrap();
        registers(&snapshot, 0x4000)
    }

    #[test]
    fn a_structure_lies_in_the_memory_that_it_names() {
        assert_eq!(with(4, 0, 0x1000), Some(1 << 4));
        assert_eq!(with(0xFFFF_FF04, 0x3000, 0x1000), Some(1 << 4));
        for (bar, offset, length) in
            [(4, 0x3000, 0x1001), (4, u32::MAX, 1), (4, u32::MAX, u32::MAX), (1, 0, 4), (6, 0, 4)]
        {
            assert_eq!(with(bar, offset, length), None, "{bar} {offset:#x} {length:#x}");
        }
    }
}
