use std::boxed::Box;
use std::collections::BTreeSet;
use std::vec;
use std::vec::Vec;

use abi::{PAGE_SIZE, PrivateGpa, Status};
use bootloader_api::info::MemoryRegionKind;
use proptest::prelude::*;

use super::*;

const MIB: u64 = 1 << 20;

/// Takes each page once.
#[derive(Default)]
struct Module {
    accepted: BTreeSet<u64>,
    calls: u64,
}

impl Accept for Module {
    fn mem_page_accept(&mut self, gpa: PrivateGpa, level: PageLevel) -> Status {
        self.calls += 1;
        for page in
            (gpa.bits()..).step_by(PAGE_SIZE as usize).take((level.bytes() / PAGE_SIZE) as usize)
        {
            if !self.accepted.insert(page) {
                return Status::PAGE_ALREADY_ACCEPTED;
            }
        }
        Status::SUCCESS
    }
}

fn regions(ranges: &[(u64, u64)]) -> &'static [MemoryRegion] {
    let of = |&(start, end): &(u64, u64)| MemoryRegion { start, end, kind: areas::UNACCEPTED };
    Vec::leak(ranges.iter().map(of).collect())
}

fn unaccepted(regions: &'static [MemoryRegion]) -> Unaccepted {
    // What is in the bits' memory before does not count.
    let bits = vec![0x5555_5555_5555_5555; Unaccepted::words(regions)];
    Unaccepted::new(regions, GpaWidth::Bits48, Box::leak(bits.into_boxed_slice()))
}

#[test]
fn a_unit_is_accepted_by_one_large_page_and_its_parts_by_small_ones() {
    let mut left =
        unaccepted(regions(&[(MIB, 2 * MIB), (2 * MIB, 6 * MIB), (6 * MIB, 6 * MIB + 0x1000)]));
    let mut module = Module::default();
    for (unit, calls, bytes) in
        [(2 * MIB, 1, 3 * MIB + 0x1000), (6 * MIB, 2, 3 * MIB), (0, 258, 2 * MIB)]
    {
        assert!(left.contains(unit) && left.contains(unit + 2 * MIB - 1));
        left.accept(&mut module, unit + 5).unwrap();
        assert!(!left.contains(unit));
        assert_eq!((module.calls, left.bytes()), (calls, bytes));
    }
    assert!(left.contains(4 * MIB) && !left.contains(8 * MIB) && !left.contains(u64::MAX));
}

#[test]
#[should_panic(expected = "the kernel accepts 0x234567 a second time")]
fn a_unit_that_is_asked_for_twice_is_a_bug() {
    let mut left = unaccepted(regions(&[(0, 4 * MIB)]));
    for _ in 0..2 {
        left.accept(&mut Module::default(), 0x23_4567).unwrap();
    }
}

#[test]
fn a_unit_that_cannot_be_accepted_is_an_error() {
    let mut left = unaccepted(regions(&[(0, 4 * MIB)]));
    let mut module = Module { accepted: [0x20_0000].into(), ..Module::default() };
    let gpa = PrivateGpa::new(0x20_0000);
    let error = left.accept(&mut module, 0x20_0000).unwrap_err();
    assert_eq!(error, AcceptError::AlreadyAccepted { gpa });
}

#[test]
fn only_unaccepted_regions_have_bits() {
    let region = |start, kind| MemoryRegion { start, end: start + 2 * MIB, kind };
    let regions = vec![
        region(0, areas::UNACCEPTED),
        region(2 * MIB, MemoryRegionKind::Usable),
        region(4 * MIB, MemoryRegionKind::Bootloader),
    ];
    let mut left = unaccepted(regions.leak());
    assert_eq!((left.bits.len(), left.bytes()), (1, 2 * MIB));
    assert_eq!(left.first(), Some(0));
    assert!(!left.contains(2 * MIB) && !left.contains(4 * MIB));
    assert_eq!(Unaccepted::words(&[]), 0);
}

#[test]
fn large_memory_takes_a_bit_for_two_mebibytes() {
    assert_eq!(Unaccepted::words(regions(&[(0, 6 << 30)])), 48);
    assert_eq!(Unaccepted::words(regions(&[(0, (6 << 30) + 1)])), 49);
    assert_eq!(Unaccepted::words(regions(&[(0, 1 << 47)])), 1 << 20);
    assert!(Unaccepted::words(regions(&[(0, u64::MAX)])) > 1 << 36);
}

proptest! {
    #[test]
    fn in_the_end_every_page_was_accepted_once_and_nothing_else(
        cuts in prop::collection::btree_set(0_u64..0x4000, 2..20),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..100),
    ) {
        let cuts: Vec<_> = cuts.into_iter().map(|page| page * PAGE_SIZE).collect();
        let ranges: Vec<_> = cuts.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        let mut left = unaccepted(regions(&ranges));
        let mut module = Module::default();
        for index in order {
            let at = index.index(0x4000) as u64 * PAGE_SIZE;
            let is_in = ranges.iter().any(|r| r.0 < (at / UNIT + 1) * UNIT && at / UNIT * UNIT < r.1);
            let is_done = module.accepted.range(at / UNIT * UNIT..(at / UNIT + 1) * UNIT).count() > 0;
            prop_assert_eq!(left.contains(at), is_in && !is_done);
            if left.contains(at) {
                left.accept(&mut module, at).unwrap();
            }
        }
        let mut last = None;
        while let Some(unit) = left.first() {
            prop_assert!(last < Some(unit));
            last = Some(unit);
            left.accept(&mut module, unit).unwrap();
        }
        prop_assert_eq!(left.bytes(), 0);
        let pages = ranges.iter().flat_map(|(start, end)| (*start..*end).step_by(PAGE_SIZE as usize));
        prop_assert!(pages.eq(module.accepted.iter().copied()));
    }
}
