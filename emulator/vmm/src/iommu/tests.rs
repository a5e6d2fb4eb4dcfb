//! A unit that keeps the rules of the manual, and tables walked as it walks them.

use std::collections::BTreeMap;
use std::vec::Vec;

use abi::{GpaWidth, SharedGpa};
use proptest::prelude::*;

use super::*;
use crate::fakes::{FakeMemory, pool};
use crate::shared_ept::SharedEpt;

/// A unit for the tests of others.
pub(crate) fn unit() -> Iommu {
    Iommu { iotlb: 0xF8, faults: 0x220 }
}

/// QEMU's capabilities with aw-bits=48: depths of 3 and 4 levels, fault records at 0x220.
const CAPABILITY: u64 = 3 << 9 | 0x22 << 24;
/// IOTLB registers at 0xF0.
const EXTENDED: u64 = 0xF << 8;

/// What was done, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Did {
    Root(u64),
    Contexts,
    Iotlb,
    Translate,
}

struct Unit {
    registers: BTreeMap<u64, u32>,
    did: Vec<Did>,
    is_stuck: bool,
}

impl Unit {
    fn new(capability: u64) -> Self {
        let registers = [
            (0x00, 0x10),
            (0x08, capability as u32),
            (0x0C, (capability >> 32) as u32),
            (0x10, EXTENDED as u32),
        ];
        Self { registers: registers.into(), did: Vec::new(), is_stuck: false }
    }
}

impl Devices for Unit {
    fn port_read(&mut self, _: u16, _: IoWidth) -> u32 {
        panic!("no port is meant")
    }

    fn port_write(&mut self, _: u16, _: IoWidth, _: u32) {
        panic!("no port is meant")
    }

    fn register_read(&mut self, address: u64, width: IoWidth) -> u32 {
        assert_eq!(width, IoWidth::Dword);
        self.registers.get(&(address - BASE)).copied().unwrap_or(0)
    }

    fn register_write(&mut self, address: u64, _: IoWidth, value: u32) {
        let register = address - BASE;
        let done = if self.is_stuck { value } else { value & !(1 << 31) };
        match register {
            0x18 if !self.is_stuck => {
                let on = self.registers.get(&0x1C).copied().unwrap_or(0);
                assert_eq!(on & 1 << 31 & !value, 0, "translation stays on");
                if value & 1 << 30 != 0 {
                    let high = u64::from(self.registers[&0x24]) << 32;
                    self.did.push(Did::Root(high | u64::from(self.registers[&0x20])));
                }
                if value & !on & 1 << 31 != 0 {
                    self.did.push(Did::Translate);
                }
                self.registers.insert(0x1C, on | value);
            }
            0x2C => {
                assert_eq!(value >> 29, 0b101, "global");
                self.did.push(Did::Contexts);
                self.registers.insert(register, done);
            }
            0xFC => {
                assert_eq!(value >> 28, 0b1001, "global");
                assert_eq!(value >> 16 & 3, 3, "drained");
                self.did.push(Did::Iotlb);
                self.registers.insert(register, done);
            }
            _ => {
                self.registers.insert(register, value);
            }
        }
    }
}

const FUNCTION: Address = Address::from_number(2 << 3);

fn start(
    unit: &mut Unit,
    width: GpaWidth,
) -> (Result<Option<Iommu>, Failure>, FakeMemory, Pool, SharedEpt) {
    let (mut memory, mut pool) = (FakeMemory::new(), pool());
    let ept = SharedEpt::new(&mut memory, &mut pool, width).unwrap();
    let tables = ept.device_tables();
    let iommu = Iommu::start(unit, &mut memory, &mut pool, tables, [FUNCTION].into_iter());
    (iommu, memory, pool, ept)
}

/// Where the unit leads a device's access, and whether it may write. [VTD 3.6, 9.3]
fn translate(memory: &FakeMemory, root: u64, function: Address, address: u64) -> Option<u64> {
    const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;
    let read = |at: u64| memory.read_u64(Hpa::try_new(at).unwrap());
    let bus = read(root);
    assert_eq!((bus & 1, read(root + 16) & 1), (1, 0), "bus 0 alone");
    let context = (bus & ADDRESS) + 16 * u64::from(function.number());
    let (low, high) = (read(context), read(context + 8));
    if low & 1 == 0 {
        return None;
    }
    assert_eq!((low & 0xFFE, high & !0xFF_FF07), (0, 0), "reserved bits");
    let levels = (high & 7) + 2;
    if address >> (12 + 9 * levels) != 0 {
        return None;
    }
    let mut table = low & ADDRESS;
    for level in (0..levels).rev() {
        let entry = read(table + 8 * (address >> (12 + 9 * level) & 511));
        assert_eq!(entry & (1 << 11 | 1 << 62), 0, "reserved bits");
        if entry & 3 != 3 {
            return None;
        }
        table = entry & ADDRESS;
    }
    Some(table)
}

#[test]
fn the_unit_is_switched_on_in_the_order_of_the_manual() {
    let mut unit = Unit::new(CAPABILITY);
    let (iommu, ..) = start(&mut unit, GpaWidth::Bits48);
    assert_eq!(iommu, Ok(Some(self::unit())));
    let [Did::Root(_), rest @ ..] = &unit.did[..] else { panic!("{:?}", unit.did) };
    assert_eq!(rest, [Did::Contexts, Did::Iotlb, Did::Translate]);
}

#[test]
fn devices_reach_shared_pages_at_their_addresses_and_nothing_else() {
    for width in [GpaWidth::Bits48, GpaWidth::Bits52] {
        let mut unit = Unit::new(CAPABILITY);
        let (_, mut memory, mut pool, ept) = start(&mut unit, width);
        let Some(Did::Root(root)) = unit.did.first().copied() else { panic!("{:?}", unit.did) };
        let shared = SharedGpa::try_new(0x12_3000, width).unwrap();
        let page = ept.map(&mut memory, &mut pool, shared).unwrap();
        let device = SharedGpa::try_new(0xC000_0000, width).unwrap();
        ept.mark_mmio(&mut memory, &mut pool, device).unwrap();
        let reach = |function, address| translate(&memory, root, function, address);
        assert_eq!(reach(FUNCTION, 0x12_3000), Some(page.bits()));
        for address in [0, 0x12_2000, 0x12_4000, 0xC000_0000, page.bits(), root] {
            assert_eq!(reach(FUNCTION, address), None, "{address:#x}");
        }
        // With the SHARED bit an address is too long, or leads nowhere.
        assert_eq!(reach(FUNCTION, shared.bits()), None);
        for other in (0..=u8::MAX).map(Address::from_number).filter(|other| *other != FUNCTION) {
            assert_eq!(reach(other, 0x12_3000), None, "{other}");
        }
    }
}

#[test]
fn without_a_unit_there_is_none() {
    for version in [0, u32::MAX] {
        let mut unit = Unit::new(CAPABILITY);
        unit.registers.insert(0, version);
        assert_eq!(start(&mut unit, GpaWidth::Bits48).0, Ok(None));
        assert_eq!(unit.did, []);
    }
}

#[test]
fn a_unit_that_does_not_fit_is_not_switched_on() {
    let without_depth = CAPABILITY & !(1 << 10);
    for (capability, width) in [
        (CAPABILITY | 1 << 7, GpaWidth::Bits48),
        (CAPABILITY | 1 << 4, GpaWidth::Bits48),
        (without_depth, GpaWidth::Bits52),
    ] {
        let mut unit = Unit::new(capability);
        assert!(matches!(start(&mut unit, width).0, Err(Failure::Iommu(_))), "{capability:#x}");
        assert_eq!(unit.did, []);
    }
    assert!(start(&mut Unit::new(without_depth), GpaWidth::Bits48).0.is_ok());
}

#[test]
fn a_unit_that_does_not_answer_is_given_up() {
    let mut unit = Unit::new(CAPABILITY);
    unit.is_stuck = true;
    assert!(matches!(start(&mut unit, GpaWidth::Bits48).0, Err(Failure::Iommu(_))));
    assert_eq!(self::unit().invalidate(&mut unit), Err(Failure::Iommu("it does not answer")));
}

#[test]
fn what_was_blocked_is_told() {
    let mut unit = Unit::new(CAPABILITY);
    assert_eq!(self::unit().fault(&mut unit), None);
    for (register, value) in
        [(0x34, 2), (0x220, 0x1234_5000), (0x224, 1), (0x228, 0x10), (0x22C, 1 << 31 | 5)]
    {
        unit.registers.insert(register, value);
    }
    let fault = self::unit().fault(&mut unit).unwrap();
    let text = "iommu blocked a write to 0x112345000 by 00:02.0, reason 5";
    assert_eq!(std::format!("{fault}"), text);
}

proptest! {
    #[test]
    fn no_address_leads_where_the_shared_ept_does_not(
        shared in prop::collection::vec(0..0x4_0000_u64, 1..20),
        tried in prop::collection::vec(any::<u64>(), 1..50),
    ) {
        let mut unit = Unit::new(CAPABILITY);
        let (_, mut memory, mut pool, ept) = start(&mut unit, GpaWidth::Bits48);
        let Some(Did::Root(root)) = unit.did.first().copied() else { panic!("{:?}", unit.did) };
        let mut pages = BTreeMap::new();
        for frame in shared {
            let gpa = SharedGpa::try_new(frame << 12, GpaWidth::Bits48).unwrap();
            pages.insert(frame, ept.map(&mut memory, &mut pool, gpa).unwrap().bits());
        }
        for address in tried {
            let page = pages.get(&(address >> 12)).copied();
            prop_assert_eq!(translate(&memory, root, FUNCTION, address), page);
        }
        for (frame, page) in &pages {
            prop_assert_eq!(translate(&memory, root, FUNCTION, frame << 12), Some(*page));
        }
    }
}
