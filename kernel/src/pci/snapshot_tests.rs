//! Configuration space as QEMU has it, and as a hostile host may have it.

use std::vec::Vec;

use proptest::prelude::*;

use super::super::WINDOW;
use super::super::fakes::Bus;
use super::*;

const AT: Address = Address { device: 2, function: 0 };

/// A virtio function of QEMU's: BAR 1 of 4 KiB, BAR 4 of 16 KiB in 64 bits, two capabilities.
fn qemu() -> Bus {
    let mut bus = Bus::default();
    bus.add(
        AT,
        &[
            (0x00, 0x1042_1AF4),
            (0x04, 0x0010_0000),
            (0x20, 0x0000_000C),
            (0x34, 0x0000_0098),
            (0x40, 0x0110_0009),
            (0x98, 0x0214_4009),
        ],
    );
    for (register, mask) in
        [(0x04, 0x0547), (0x14, 0xFFFF_F000), (0x20, 0xFFFF_C000), (0x24, u32::MAX)]
    {
        bus.mask(AT, register, mask);
    }
    bus
}

fn take(bus: &mut Bus) -> Result<Snapshot, Unusable> {
    Snapshot::take(bus, AT, &mut Window::new())
}

#[test]
fn memory_is_placed_and_switched_on_last() {
    let mut bus = qemu();
    let snapshot = take(&mut bus).unwrap();
    assert_eq!(snapshot.memory(1), Some(0xC000_0000..0xC000_1000));
    assert_eq!(snapshot.memory(4), Some(0xC000_4000..0xC000_8000));
    for absent in [0, 2, 3, 5, 6, u8::MAX] {
        assert_eq!(snapshot.memory(absent), None, "{absent}");
    }
    let addresses = [0x14, 0x20, 0x24].map(|register| bus.value(AT, register));
    assert_eq!(addresses, [0xC000_0000, 0xC000_400C, 0]);
    assert_eq!(bus.written.last(), Some(&(0x04, 0x406)));
}

#[test]
fn the_copy_can_be_sized() {
    let mut snapshot = take(&mut qemu()).unwrap();
    let before = [0x14, 0x20, 0x24].map(|register| snapshot.word(register));
    for register in [0x14, 0x20, 0x24] {
        snapshot.set_word(register, u32::MAX);
    }
    let sizes = [0x14, 0x20, 0x24].map(|register| snapshot.word(register));
    assert_eq!(sizes, [0xFFFF_F000, 0xFFFF_C00C, u32::MAX]);
    for (register, value) in [0x14, 0x20, 0x24].into_iter().zip(before) {
        snapshot.set_word(register, value);
        assert_eq!(snapshot.word(register), value);
    }
    snapshot.set_word(0x00, 0);
    snapshot.set_word(0x10, u32::MAX);
    assert_eq!((snapshot.word(0x00), snapshot.word(0x10)), (0x1042_1AF4, 0));
}

#[test]
fn the_vendors_capabilities_are_found() {
    let snapshot = take(&mut qemu()).unwrap();
    let found: Vec<_> = snapshot.vendor_capabilities().collect();
    assert_eq!(found, [(0x98, 0x14, 2), (0x40, 0x10, 1)]);
}

#[test]
fn a_list_that_is_none_is_refused() {
    for (registers, at) in [
        // Twice the same one.
        (&[(0x40, 0x0110_9809)][..], 0x98),
        // Outside.
        (&[(0x40, 0x0110_0809)], 0x08),
        (&[(0x40, 0x0110_4109)], 0x41),
        // Longer than what is left.
        (&[(0x40, 0x0110_F409), (0xF4, 0x0110_0009)], 0xF4),
    ] {
        let mut bus = qemu();
        bus.add(AT, registers);
        assert_eq!(take(&mut bus).unwrap_err(), Unusable::BadList(at));
    }
}

#[test]
fn memory_that_is_none_is_refused() {
    let with = |register, value, mask| {
        let mut bus = qemu();
        bus.add(AT, &[(register, value)]);
        bus.mask(AT, register, mask);
        take(&mut bus).unwrap_err()
    };
    // Below 1 MiB; sizes that are none, or too large.
    assert_eq!(with(0x18, 2, 0xFFFF_F000), Unusable::BadRegister(0x18));
    assert_eq!(with(0x14, 0, 0xFFF0_F000), Unusable::NoRoom(0xF_1000));
    assert_eq!(with(0x14, 0, 0x8000_0000), Unusable::NoRoom(0x8000_0000));
}

#[test]
fn ports_are_left_out() {
    let mut bus = qemu();
    bus.add(AT, &[(0x10, 1)]);
    bus.mask(AT, 0x10, 0xFFFF_FF80);
    let snapshot = take(&mut bus).unwrap();
    assert_eq!((snapshot.memory(0), snapshot.word(0x10)), (None, 0));
    assert_eq!(bus.value(AT, 0x04) & 1, 0);
}

/// Values and masks of all registers.
fn registers() -> impl Strategy<Value = Vec<(u32, u32)>> {
    let mask = prop_oneof![
        Just(0),
        (4..32_u32).prop_map(|bits| u32::MAX << bits),
        Just(u32::MAX),
        any::<u32>()
    ];
    let value = prop_oneof![any::<u32>(), 0..16_u32];
    prop::collection::vec((value, mask), WORDS)
}

proptest! {
    #[test]
    fn whatever_the_host_says_the_copy_is_sound(registers in registers()) {
        let mut bus = Bus::default();
        for (offset, (value, mask)) in (0..=u8::MAX).step_by(4).zip(registers) {
            bus.add(AT, &[(offset, value)]);
            bus.mask(AT, offset, mask);
        }
        if let Ok(snapshot) = take(&mut bus) {
            for range in (0..6).filter_map(|index| snapshot.memory(index)) {
                prop_assert!(WINDOW.start <= range.start && range.end <= WINDOW.end);
            }
            prop_assert!(snapshot.vendor_capabilities().count() <= 48);
            for (offset, length, _) in snapshot.vendor_capabilities() {
                prop_assert!(offset >= 0x40 && usize::from(offset) + usize::from(length) <= 256);
            }
        }
    }
}
