//! A hostile TD against a bus with registers as QEMU has them.

use std::collections::BTreeMap;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

const HOST_BRIDGE: u8 = 0;
const RNG: u8 = 1 << 3;
const DISK: u8 = 2 << 3;
const AHCI: u8 = 31 << 3 | 2;

/// A function: values, and which bits can be written.
struct Registers {
    values: [u32; 64],
    writable: [u32; 64],
}

/// Bus 0, by ports.
struct Bus {
    selected: u32,
    functions: BTreeMap<u8, Registers>,
    /// Functions whose registers were written.
    written: Vec<u8>,
}

fn registers(set: &[(usize, u32, u32)]) -> Registers {
    let mut registers = Registers { values: [0; 64], writable: [0; 64] };
    for (offset, value, writable) in set {
        registers.values[offset / 4] = *value;
        registers.writable[offset / 4] = *writable;
    }
    registers
}

/// A virtio function as SeaBIOS leaves it: BAR 1 of 4 KiB, BAR 4 of 16 KiB in 64 bits, on.
fn virtio(device: u32) -> Registers {
    registers(&[
        (0x00, device << 16 | VIRTIO_VENDOR, 0),
        (0x04, 0x0010_0007, 0x0000_0547),
        (0x14, 0xFEBD_1000, 0xFFFF_F000),
        (0x20, 0xFE00_000C, 0xFFFF_C000),
        (0x24, 0, u32::MAX),
        (0x30, 0, 0xFFFC_0001),
        (0x40, 0x0009_0014, 0x8000_0000),
    ])
}

impl Bus {
    fn q35() -> Self {
        let bridge = registers(&[(0x00, 0x29C0_8086, 0), (0x04, 7, 7)]);
        let ahci =
            registers(&[(0x00, 0x2922_8086, 0), (0x04, 7, 7), (0x24, 0xFEBD_0000, 0xFFFF_F000)]);
        let mut lpc = registers(&[(0x00, 0x2918_8086, 0)]);
        lpc.values[3] = MULTI_FUNCTION;
        let functions = [
            (HOST_BRIDGE, bridge),
            (RNG, virtio(0x1044)),
            (DISK, virtio(0x1042)),
            (31 << 3, lpc),
            (AHCI, ahci),
        ];
        Self { selected: 0, functions: functions.into(), written: Vec::new() }
    }

    fn value(&self, function: u8, register: usize) -> u32 {
        self.functions[&function].values[register / 4]
    }
}

impl Devices for Bus {
    fn port_read(&mut self, port: u16, width: IoWidth) -> u32 {
        assert!((0xCFC..=0xCFF).contains(&port) && width == IoWidth::Dword);
        let function = self.functions.get(&((self.selected >> 8) as u8));
        let is_bus_0 = (self.selected >> 16) as u8 == 0;
        let register = (self.selected & 0xFF) as usize / 4;
        function.filter(|_| is_bus_0).map_or(u32::MAX, |function| function.values[register])
    }

    fn port_write(&mut self, port: u16, width: IoWidth, value: u32) {
        if port == 0xCF8 {
            self.selected = value;
            return;
        }
        assert_eq!(self.selected >> 16, 0x8000, "bus 0");
        let number = (self.selected >> 8) as u8;
        let Some(function) = self.functions.get_mut(&number) else { return };
        self.written.push(number);
        let register = (self.selected & 0xFF) as usize / 4;
        let mask = function.writable[register] & width.mask() as u32;
        let old = &mut function.values[register];
        *old = *old & !mask | value & mask;
    }

    fn register_read(&mut self, _: u64, _: IoWidth) -> u32 {
        panic!("no register is meant")
    }

    fn register_write(&mut self, _: u64, _: IoWidth, _: u32) {
        panic!("no register is meant")
    }
}

fn select(function: u8, register: u32) -> u32 {
    0x8000_0000 | u32::from(function) << 8 | register
}

fn dword(pci: &mut Pci, bus: &mut Bus, function: u8, register: u32, value: u32) {
    pci.write(bus, select(function, register), (0, IoWidth::Dword), value);
}

/// BARs 1 and 4 of a function, then COMMAND.
fn place(pci: &mut Pci, bus: &mut Bus, function: u8, [one, four]: [u32; 2], command: u32) {
    dword(pci, bus, function, 0x14, one);
    dword(pci, bus, function, 0x20, four);
    dword(pci, bus, function, 0x04, command);
}

#[test]
fn virtio_functions_are_found_and_reset() {
    let mut bus = Bus::q35();
    let pci = Pci::find(&mut bus);
    let found: Vec<u8> = pci.functions().map(Address::number).collect();
    assert_eq!(found, [RNG, DISK]);
    for function in found {
        assert_eq!(bus.value(function, 0x04) & 0xFFFF, 0);
        assert_eq!([0x14, 0x20, 0x24].map(|at| bus.value(function, at)), [0, 0xC, 0]);
    }
    let of_others = |number: &u8| ![RNG, DISK].contains(number);
    assert!(!bus.written.iter().any(of_others), "{:?}", bus.written);
}

#[test]
fn a_td_sets_its_devices_up() {
    let mut bus = Bus::q35();
    let mut pci = Pci::find(&mut bus);
    // Sizing, as every system does it.
    dword(&mut pci, &mut bus, DISK, 0x20, u32::MAX);
    assert_eq!(bus.value(DISK, 0x20), 0xFFFF_C00C);
    place(&mut pci, &mut bus, DISK, [0xC001_0000, 0xC000_0000], 0x402);
    assert_eq!(bus.value(DISK, 0x04) & 0xFFFF, 0x402);
    assert!(pci.has(0xC000_3FFC, 4) && pci.has(0xC001_0000, 4));
    assert!(!pci.has(0xC000_3FFE, 4) && !pci.has(0xC000_4000, 1) && !pci.has(0xC001_1000, 1));
    dword(&mut pci, &mut bus, DISK, 0x04, 0);
    assert!(!pci.has(0xC000_0000, 1));
}

#[test]
fn memory_outside_the_window_is_never_decoded() {
    for bars in [
        [0xFEC0_0000, 0xC000_0000],
        [0xC000_0000, 0xFED9_0000],
        [0, 0xC000_0000],
        [0xC000_0000, 0xE000_0000],
        [0xC000_0000, 0xDFFF_C000 - 0x2000_0000],
        // They meet.
        [0xC000_3000, 0xC000_0000],
    ] {
        let mut bus = Bus::q35();
        let mut pci = Pci::find(&mut bus);
        place(&mut pci, &mut bus, RNG, bars, 2);
        assert_eq!(bus.value(RNG, 0x04) & 2, 0, "{bars:x?}");
        assert!(!pci.has(bars[0].into(), 1) && !pci.has(bars[1].into(), 1));
    }
    let mut bus = Bus::q35();
    let mut pci = Pci::find(&mut bus);
    dword(&mut pci, &mut bus, RNG, 0x24, 1);
    place(&mut pci, &mut bus, RNG, [0xC001_0000, 0xC000_0000], 2);
    assert_eq!(bus.value(RNG, 0x04) & 2, 0, "above 4 GiB");
}

#[test]
fn a_register_that_decodes_stays_where_it_is() {
    let mut bus = Bus::q35();
    let mut pci = Pci::find(&mut bus);
    place(&mut pci, &mut bus, RNG, [0xC001_0000, 0xC000_0000], 2);
    dword(&mut pci, &mut bus, RNG, 0x20, 0xFEC0_0000);
    assert_eq!(bus.value(RNG, 0x20), 0xC000_000C);
    // Nor does another come on top of it.
    place(&mut pci, &mut bus, DISK, [0xC002_0000, 0xC000_0000], 2);
    assert_eq!(bus.value(DISK, 0x04) & 2, 0);
}

#[test]
fn bus_mastering_needs_an_iommu() {
    let mut bus = Bus::q35();
    let mut pci = Pci::find(&mut bus);
    place(&mut pci, &mut bus, RNG, [0xC001_0000, 0xC000_0000], 6);
    assert_eq!(bus.value(RNG, 0x04) & 0xFFFF, 2);
    pci.confine(crate::iommu::tests::unit());
    dword(&mut pci, &mut bus, RNG, 0x04, 0x1_0006);
    assert_eq!(bus.value(RNG, 0x04) & 0xFFFF, 6);
}

#[test]
fn the_rest_of_configuration_space_is_not_written() {
    let mut bus = Bus::q35();
    let mut pci = Pci::find(&mut bus);
    bus.written.clear();
    for register in (0..0x100).step_by(4) {
        for function in [HOST_BRIDGE, AHCI, RNG] {
            let is_bar = [0x10, 0x14, 0x18, 0x1C, 0x20, 0x24].contains(&register);
            if function != RNG || !is_bar && register != 0x04 {
                dword(&mut pci, &mut bus, function, register, u32::MAX);
            }
        }
        for (offset, width) in [(0, IoWidth::Byte), (2, IoWidth::Word), (3, IoWidth::Byte)] {
            pci.write(&mut bus, select(RNG, register), (offset, width), u32::MAX);
        }
        // Another bus.
        pci.write(&mut bus, select(RNG, register) | 1 << 16, (0, IoWidth::Dword), 0);
    }
    assert_eq!(bus.written, []);
}

#[test]
fn a_window_that_is_taken_is_not_used() {
    let mut bus = Bus::q35();
    bus.functions.get_mut(&AHCI).unwrap().values[0x24 / 4] = 0xC100_0000;
    assert_eq!(Pci::find(&mut bus).functions().count(), 0);
}

#[test]
fn after_the_run_nothing_is_on() {
    let mut bus = Bus::q35();
    let mut pci = Pci::find(&mut bus);
    place(&mut pci, &mut bus, RNG, [0xC001_0000, 0xC000_0000], 2);
    pci.quiesce(&mut bus);
    assert_eq!(bus.value(RNG, 0x04) & 0xFFFF, 0);
    assert!(!pci.has(0xC000_0000, 1));
}

/// Addresses at the edges of what matters.
fn value() -> impl Strategy<Value = u32> {
    let edges = prop::sample::select(std::vec![
        0,
        2,
        6,
        7,
        0xC000_0000,
        0xC000_4000,
        0xC001_0000,
        0xDFFF_C000,
        0xE000_0000,
        0xFEC0_0000,
        0xFED9_0000,
        u32::MAX,
    ]);
    prop_oneof![edges, any::<u32>()]
}

proptest! {
    #[test]
    fn no_sequence_of_writes_moves_a_device_out_of_the_window(
        writes in prop::collection::vec(
            (
                prop::sample::select(std::vec![HOST_BRIDGE, RNG, DISK, AHCI]),
                prop_oneof![
                    prop::sample::select(std::vec![0x04_u32, 0x14, 0x20, 0x24]),
                    (0..64_u32).prop_map(|register| register * 4)
                ],
                prop::sample::select(std::vec![
                    (0_u16, IoWidth::Dword), (0, IoWidth::Word), (2, IoWidth::Word), (0, IoWidth::Byte)
                ]),
                value(),
            ),
            0..60,
        )
    ) {
        let mut bus = Bus::q35();
        let mut pci = Pci::find(&mut bus);
        for (function, register, place, value) in writes {
            pci.write(&mut bus, select(function, register), place, value);
            let mut decoded = Vec::new();
            for function in [RNG, DISK] {
                prop_assert_eq!(bus.value(function, 0x04) & 0xFFFF & !0x402, 0);
                prop_assert_eq!([0x30, 0x40].map(|at| bus.value(function, at)), [0, 0x0009_0014]);
                if bus.value(function, 0x04) & 2 != 0 {
                    let high = u64::from(bus.value(function, 0x24)) << 32;
                    let bars = [
                        (u64::from(bus.value(function, 0x14) & !0xF), 0x1000),
                        (high | u64::from(bus.value(function, 0x20) & !0xF), 0x4000),
                    ];
                    decoded.extend(bars.map(|(start, size)| Range::new(start, start + size)));
                }
            }
            for (index, range) in decoded.iter().enumerate() {
                prop_assert_eq!(WINDOW.intersection(*range), *range);
                prop_assert!(decoded[..index].iter().all(|other| other.intersection(*range).is_empty()));
                prop_assert!(pci.has(range.start, 4));
            }
        }
        let untouched = [(HOST_BRIDGE, 0x04, 7), (AHCI, 0x04, 7), (AHCI, 0x24, 0xFEBD_0000)];
        for (function, register, value) in untouched {
            prop_assert_eq!(bus.value(function, register), value);
        }
    }
}
