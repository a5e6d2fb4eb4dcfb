//! The tables as the module and a device walk them.

use std::collections::BTreeSet;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::fakes::{FakeMemory, pool};

/// What the module does with the tables. [ABI-G 10]
fn walk(memory: &FakeMemory, root: Hpa, levels: u32, gpa: u64) -> u64 {
    let mut table = root.bits();
    for level in (0..levels).rev() {
        let index = gpa >> (12 + 9 * level) & 511;
        let entry = memory.read_u64(Hpa::try_new(table + index * 8).unwrap());
        if entry & RWX == 0 || level == 0 {
            return entry;
        }
        assert_eq!(entry & 0xFF8, 0, "a table's reserved bits");
        table = entry & ADDRESS;
    }
    unreachable!()
}

fn gpa(address: u64, width: GpaWidth) -> SharedGpa {
    SharedGpa::try_new(address, width).unwrap()
}

const WIDTHS: [(GpaWidth, u32); 2] = [(GpaWidth::Bits48, 4), (GpaWidth::Bits52, 5)];

#[test]
fn mmio_is_the_only_entry_that_lets_a_ve_through() {
    for (width, levels) in WIDTHS {
        let (mut memory, mut pool) = (FakeMemory::new(), pool());
        let ept = SharedEpt::new(&mut memory, &mut pool, width).unwrap();
        let ioapic = gpa(0xFEC0_0000, width);
        assert_eq!(ept.entry(&memory, ioapic), Entry::Private);
        ept.mark_mmio(&mut memory, &mut pool, ioapic).unwrap();
        assert_eq!(ept.entry(&memory, ioapic), Entry::Mmio);
        assert_eq!(walk(&memory, ept.root(), levels, ioapic.bits()), 0);
        for other in [0xFEC0_1000, 0xFEBF_F000, 0, 0x4000_0000] {
            let entry = walk(&memory, ept.root(), levels, gpa(other, width).bits());
            assert_eq!(entry, SUPPRESS_VE, "{other:#x}");
        }
        // Without the SHARED bit the walk leads elsewhere.
        assert_eq!(walk(&memory, ept.root(), levels, 0xFEC0_0000), SUPPRESS_VE);
    }
}

#[test]
fn memory_is_zeroed_and_stays() {
    for (width, levels) in WIDTHS {
        let (mut memory, mut pool) = (FakeMemory::new(), pool());
        let ept = SharedEpt::new(&mut memory, &mut pool, width).unwrap();
        let at = gpa(0x12_3000, width);
        let page = ept.map(&mut memory, &mut pool, at).unwrap();
        assert_eq!(memory.read_u64(page), 0);
        let entry = walk(&memory, ept.root(), levels, at.bits());
        assert_eq!(entry, page.bits() | SUPPRESS_VE | SHARED | WRITE_BACK | RWX);
        let devices = ept.device_tables();
        let seen = walk(&memory, devices.root, devices.levels, at.address());
        assert_eq!(seen, entry, "a device's way");
        memory.write_u64(page, 7);
        assert_eq!(ept.map(&mut memory, &mut pool, at), Ok(page));
        assert_eq!((memory.read_u64(page), ept.entry(&memory, at)), (7, Entry::Mapped(page)));
    }
}

#[test]
fn what_the_vmm_writes_to_private_memory_is_seen_when_it_is_shared() {
    let (mut memory, mut pool) = (FakeMemory::new(), pool());
    let ept = SharedEpt::new(&mut memory, &mut pool, GpaWidth::Bits48).unwrap();
    let at = gpa(0x5000, GpaWidth::Bits48);
    let page = ept.back(&mut memory, &mut pool, at).unwrap();
    assert_eq!(ept.entry(&memory, at), Entry::Private);
    ept.share(&mut memory, &mut pool, Range::new(0x5000, 0x6000)).unwrap();
    assert_eq!(ept.entry(&memory, at), Entry::Shared);
    assert_eq!(ept.map(&mut memory, &mut pool, at), Ok(page));
}

#[test]
fn pages_come_back_clear_and_not_before_the_second_step() {
    let (mut memory, mut pool) = (FakeMemory::new(), pool());
    let ept = SharedEpt::new(&mut memory, &mut pool, GpaWidth::Bits48).unwrap();
    let (at, range) = (gpa(0x5000, GpaWidth::Bits48), Range::new(0x5000, 0x6000));
    let page = ept.map(&mut memory, &mut pool, at).unwrap();
    memory.write_u64(page, 7);
    assert_eq!(ept.unmap(&mut memory, &mut pool, range), Ok(true));
    assert_eq!(ept.entry(&memory, at), Entry::Private);
    assert_eq!(memory.read_u64(page), 7);
    let other = pool.own(&mut memory).unwrap();
    assert_ne!(other, page);
    ept.discard(&mut memory, &mut pool, range);
    assert_eq!(pool.own(&mut memory), Some(page));
    assert_eq!(memory.read_u64(page), 0);
    assert_eq!(ept.unmap(&mut memory, &mut pool, range), Ok(false));
}

#[test]
fn whole_units_cost_no_table_of_their_own() {
    let (mut memory, mut pool) = (FakeMemory::new(), pool());
    let ept = SharedEpt::new(&mut memory, &mut pool, GpaWidth::Bits48).unwrap();
    let before = pool.taken().count();
    ept.share(&mut memory, &mut pool, Range::new(0, 1 << 30)).unwrap();
    assert_eq!(pool.taken().count(), before + 2, "two tables on the way to the first page");
    assert_eq!(ept.entry(&memory, gpa((1 << 30) - 4096, GpaWidth::Bits48)), Entry::Shared);
    assert_eq!(ept.entry(&memory, gpa(1 << 30, GpaWidth::Bits48)), Entry::Private);
}

#[test]
fn shared_memory_ends_with_the_pool() {
    let (mut memory, mut pool) = (FakeMemory::new(), pool());
    let ept = SharedEpt::new(&mut memory, &mut pool, GpaWidth::Bits48).unwrap();
    let end = (0..1 << 20)
        .find_map(|page| ept.map(&mut memory, &mut pool, gpa(page << 12, GpaWidth::Bits48)).err());
    assert!(matches!(end, Some(Failure::OutOfMemory(_))));
}

/// What is done to pages, in pages from 0.
#[derive(Clone, Copy, Debug)]
enum Step {
    Share(u64, u64),
    Unshare(u64, u64),
    Touch(u64),
    Write(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Three units of 2 MiB, some ranges of which are whole.
    let range = || {
        prop_oneof![
            (0..1536_u64, 1..600_u64).prop_map(|(at, count)| (at, (at + count).min(1536))),
            (0..3_u64, 1..3_u64).prop_map(|(at, count)| (at * 512, (at + count).min(3) * 512)),
        ]
    };
    let step = prop_oneof![
        range().prop_map(|(from, to)| Step::Share(from, to)),
        range().prop_map(|(from, to)| Step::Unshare(from, to)),
        (0..1536_u64).prop_map(Step::Touch),
        (0..1536_u64).prop_map(Step::Write),
    ];
    prop::collection::vec(step, 0..40)
}

proptest! {
    #[test]
    fn every_page_is_what_was_last_asked_for(steps in steps()) {
        let (mut memory, mut pool) = (FakeMemory::new(), pool());
        let ept = SharedEpt::new(&mut memory, &mut pool, GpaWidth::Bits48).unwrap();
        let mut shared = BTreeSet::new();
        for step in steps {
            let pages = |from: u64, to: u64| Range::new(from << 12, to << 12);
            match step {
                Step::Share(from, to) => {
                    ept.share(&mut memory, &mut pool, pages(from, to)).unwrap();
                    shared.extend(from..to);
                }
                Step::Unshare(from, to) => {
                    ept.unmap(&mut memory, &mut pool, pages(from, to)).unwrap();
                    ept.discard(&mut memory, &mut pool, pages(from, to));
                    shared.retain(|page| !(from..to).contains(page));
                }
                Step::Touch(page) if shared.contains(&page) => {
                    ept.map(&mut memory, &mut pool, gpa(page << 12, GpaWidth::Bits48)).unwrap();
                }
                Step::Touch(_) => {}
                Step::Write(page) => {
                    ept.back(&mut memory, &mut pool, gpa(page << 12, GpaWidth::Bits48)).unwrap();
                }
            }
        }
        let mut backing = BTreeSet::new();
        for page in 0..1536 {
            let entry = ept.entry(&memory, gpa(page << 12, GpaWidth::Bits48));
            prop_assert_eq!(matches!(entry, Entry::Shared | Entry::Mapped(_)), shared.contains(&page));
            prop_assert_eq!(ept.shares_any(&memory, Range::new(page << 12, (page + 1) << 12)), shared.contains(&page));
            if let Entry::Mapped(at) = entry {
                prop_assert!(backing.insert(at), "one page behind two");
            }
        }
    }
}
