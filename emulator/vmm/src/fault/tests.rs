//! The table of EPT violations, row by row, and the pages that follow from it.

use std::vec::Vec;

use abi::{GpaWidth, Hpa};

use super::*;
use crate::conversion::Conversion;
use crate::fakes::{FakeCpu, FakeDevices, FakeMemory, FakeModule, pool};
use crate::guest_memory::GuestMemory;
use crate::pool::Pool;

const SHARED: u64 = 1 << 47;

fn td(page_level: PageLevel) -> Td {
    Td {
        tdr: Hpa::new(0x1000),
        key_bits: 33 << 46,
        tdvpr: None,
        width: GpaWidth::Bits48,
        guest: GuestMemory::new(16 << 20, 0x1_0000),
        page_level,
        dirty_pages: false,
        is_curious: false,
        conversion: Conversion::new(MapGpaMode::Honest),
    }
}

/// Registers of an EPT violation.
fn violation(gpa: u64, extended: ExtendedQualification) -> Regs {
    Regs { rcx: 1, rdx: extended.0, r8: gpa, ..Regs::default() }
}

fn accept(requested: u8, found: u8, state: u8) -> ExtendedQualification {
    let kind = ExtendedQualification::ACCEPT;
    ExtendedQualification::with_walk(kind, requested, found, state, true)
}

const NONE: ExtendedQualification = ExtendedQualification(0);
/// A page in the middle of the second unit.
const PAGE: u64 = 0x20_5000;

/// What is decided where page 0x20_5000 of the TD is what `prepare` makes it.
fn decided(
    td: &Td,
    gpa: u64,
    extended: ExtendedQualification,
    prepare: impl Fn(&SharedEpt, &mut FakeMemory, &mut Pool),
) -> Action {
    let (mut memory, mut pool) = (FakeMemory::new(), pool());
    let shared = SharedEpt::new(&mut memory, &mut pool, GpaWidth::Bits48).unwrap();
    prepare(&shared, &mut memory, &mut pool);
    decide(td, &violation(gpa, extended), &shared, &memory)
}

fn alias(gpa: u64) -> SharedGpa {
    SharedGpa::try_new(gpa, GpaWidth::Bits48).unwrap()
}

#[test]
fn each_violation_has_its_answer() {
    let private = PrivateGpa::new;
    let pending = ExtendedQualification(ExtendedQualification::PENDING_EPT_VIOLATION);
    let (small, large) = (PageLevel::Size4K, PageLevel::Size2M);
    let outside = |gpa| Action::Die(Death::OutsideMemory(gpa));
    for (gpa, extended, pages, action) in [
        (PAGE, NONE, small, Action::Add(private(PAGE), small)),
        (PAGE, NONE, large, Action::Add(private(PAGE), small)),
        (0x20_0000, accept(1, 1, 0), small, Action::Add(private(0x20_0000), small)),
        (0x20_0000, accept(1, 1, 0), large, Action::Add(private(0x20_0000), large)),
        (0x20_3000, accept(0, 1, 0), large, Action::Add(private(0x20_3000), small)),
        (0xFFFF_0000, NONE, small, Action::Add(private(0xFFFF_0000), small)),
        (PAGE, pending, small, Action::Die(Death::PendingPage(PAGE))),
        (0x100_0000, NONE, small, outside(0x100_0000)),
        (0xFEC0_0000, NONE, small, outside(0xFEC0_0000)),
        (1 << 48, NONE, small, outside(1 << 48)),
        (0x20_3000, accept(0, 1, 2), large, Action::Die(Death::PartOfLargePage(0x20_3000))),
        (SHARED | PAGE, NONE, small, Action::Convert(Gpa::Shared(alias(PAGE)))),
        (SHARED | 0xFEC0_0000, NONE, small, Action::MarkMmio(alias(0xFEC0_0000))),
    ] {
        let decided = decided(&td(pages), gpa, extended, |_, _, _| ());
        assert_eq!(decided, action, "{gpa:#x}");
    }
}

#[test]
fn what_the_td_shares_is_mapped_or_made_private_again() {
    let (small, large) = (PageLevel::Size4K, PageLevel::Size2M);
    let share = |ept: &SharedEpt, memory: &mut FakeMemory, pool: &mut Pool| {
        ept.share(memory, pool, Range::new(PAGE, PAGE + PAGE_SIZE)).unwrap();
    };
    let private = |gpa| Gpa::Private(PrivateGpa::new(gpa));
    for (gpa, extended, action) in [
        (SHARED | PAGE, NONE, Action::Map(alias(PAGE))),
        (PAGE, NONE, Action::Convert(private(PAGE))),
        (PAGE + 0x800, accept(0, 0, 0), Action::Convert(private(PAGE))),
        (PAGE + PAGE_SIZE, NONE, Action::Add(PrivateGpa::new(PAGE + PAGE_SIZE), small)),
        // A large page has no room for a page that is shared.
        (0x20_0000, accept(1, 1, 0), Action::Add(PrivateGpa::new(0x20_0000), small)),
        (0x40_0000, accept(1, 1, 0), Action::Add(PrivateGpa::new(0x40_0000), large)),
    ] {
        assert_eq!(decided(&td(large), gpa, extended, share), action, "{gpa:#x}");
    }
}

#[test]
fn mmio_and_lies_are_not_converted() {
    let mmio = |ept: &SharedEpt, memory: &mut FakeMemory, pool: &mut Pool| {
        ept.mark_mmio(memory, pool, alias(0xFEC0_0000)).unwrap();
        ept.mark_mmio(memory, pool, alias(PAGE)).unwrap();
    };
    for gpa in [SHARED | 0xFEC0_0000, SHARED | PAGE] {
        let decided = decided(&td(PageLevel::Size4K), gpa, NONE, mmio);
        assert_eq!(decided, Action::Die(Death::NoVe(gpa)));
    }
    for (mode, action) in [
        (MapGpaMode::Lie, Action::Die(Death::NotShared(SHARED | PAGE))),
        (MapGpaMode::LieMmio, Action::MarkMmio(alias(PAGE))),
    ] {
        let mut td = td(PageLevel::Size4K);
        td.conversion.mode = mode;
        assert_eq!(decided(&td, SHARED | PAGE, NONE, |_, _, _| ()), action);
    }
}

/// Takes the faults one after the other; what the module has in the end, and how much it was given.
fn faults(page_level: PageLevel, gpas: &[(u64, ExtendedQualification)]) -> (FakeModule, u64) {
    let mut module = FakeModule::new();
    let (mut memory, mut pool) = (FakeMemory::new(), pool());
    let shared = SharedEpt::new(&mut memory, &mut pool, GpaWidth::Bits48).unwrap();
    let mut vmm = Vmm {
        module: &mut module,
        memory: &mut memory,
        devices: &mut FakeDevices::default(),
        cpu: &mut FakeCpu::default(),
        pool,
    };
    let td = td(page_level);
    for (gpa, extended) in gpas {
        match decide(&td, &violation(*gpa, *extended), &shared, vmm.memory) {
            Action::Add(gpa, PageLevel::Size4K) => add_small(&mut vmm, &td, gpa).unwrap(),
            Action::Add(gpa, _) => add_large(&mut vmm, &td, gpa).unwrap(),
            other => panic!("{other:?}"),
        }
    }
    let given = vmm.pool.given();
    (module, given)
}

#[test]
fn pages_are_soiled_for_a_td_that_shall_get_dirty_ones() {
    for dirty_pages in [false, true] {
        let (mut memory, page) = (FakeMemory::new(), Hpa::new(0x20_0000));
        let mut vmm = Vmm {
            module: &mut FakeModule::new(),
            memory: &mut memory,
            devices: &mut FakeDevices::default(),
            cpu: &mut FakeCpu::default(),
            pool: pool(),
        };
        let td = Td { dirty_pages, ..td(PageLevel::Size2M) };
        soil(&mut vmm, &td, page, PageLevel::Size2M);
        let ends = [0x20_0000, 0x3F_FFF8].map(|at| memory.read_u64(Hpa::new(at)));
        let is_soiled = |word: &u64| *word == u64::from_ne_bytes([0xD1; 8]);
        assert!(ends.iter().all(|word| is_soiled(word) == dirty_pages), "{ends:x?}");
    }
}

#[test]
fn tables_are_added_from_the_top_down_and_once() {
    let (module, given) = faults(PageLevel::Size4K, &[(0x5000, NONE), (0x6000, NONE)]);
    let levels: Vec<u8> = module.tables.iter().map(|(level, _)| *level).collect();
    assert_eq!(levels, [3, 2, 1]);
    assert_eq!(module.pages.keys().copied().collect::<Vec<_>>(), [0x5000, 0x6000]);
    assert_eq!(given, 5);
}

#[test]
fn a_page_that_is_there_costs_no_memory() {
    let (_, once) = faults(PageLevel::Size4K, &[(0x5000, NONE)]);
    let (_, often) = faults(PageLevel::Size4K, &[(0x5000, NONE); 9]);
    assert_eq!(often, once);
    let (module, _) = faults(PageLevel::Size4K, &[(0x5000, NONE), (0x5000, NONE), (0x6000, NONE)]);
    assert_eq!(module.pages.len(), 2);
}

#[test]
fn a_large_page_is_added_where_none_is_small() {
    let wants = accept(1, 1, 0);
    let (module, _) = faults(PageLevel::Size2M, &[(0x20_0000, wants), (0x40_0000, wants)]);
    assert!(module.pages.values().all(|level| *level == PageLevel::Size2M));
    let (module, _) = faults(PageLevel::Size2M, &[(0x20_5000, NONE), (0x20_0000, wants)]);
    assert!(module.pages.values().all(|level| *level == PageLevel::Size4K));
    assert_eq!(module.pages.keys().copied().collect::<Vec<_>>(), [0x20_0000, 0x20_5000]);
}

#[test]
fn memory_that_runs_out_is_an_error_and_not_the_tds_death() {
    let mut module = FakeModule::new();
    let (mut memory, mut devices, mut cpu) =
        (FakeMemory::new(), FakeDevices::default(), FakeCpu::default());
    let td = td(PageLevel::Size4K);
    let mut pool = pool();
    while pool.small(&mut memory).is_some() {}
    let mut vmm = Vmm {
        module: &mut module,
        memory: &mut memory,
        devices: &mut devices,
        cpu: &mut cpu,
        pool,
    };
    let added = add_small(&mut vmm, &td, PrivateGpa::new(0x5000));
    assert!(matches!(added, Err(Failure::OutOfMemory(_))));
}
