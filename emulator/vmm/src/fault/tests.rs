//! The table of EPT violations, row by row, and the pages that follow from it.

use std::vec::Vec;

use abi::{GpaWidth, Hpa};

use super::*;
use crate::fakes::{FakeCpu, FakeDevices, FakeMemory, FakeModule, pool};
use crate::guest_memory::GuestMemory;
use crate::seam::Memory as _;

const SHARED: u64 = 1 << 47;

fn td(page_level: PageLevel) -> Td {
    Td {
        tdr: Hpa::new(0x1000),
        hkid: 33,
        tdvpr: None,
        width: GpaWidth::Bits48,
        guest: GuestMemory::new(16 << 20, 0x1_0000),
        page_level,
        dirty_pages: false,
        spare: None,
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

#[test]
fn each_violation_has_its_answer() {
    let private = PrivateGpa::new;
    let shared = |gpa| SharedGpa::try_new(gpa, GpaWidth::Bits48).unwrap();
    let pending = ExtendedQualification(ExtendedQualification::PENDING_EPT_VIOLATION);
    let (small, large) = (PageLevel::Size4K, PageLevel::Size2M);
    for (gpa, extended, pages, entry, action) in [
        (0x5000, NONE, small, Entry::Absent, Action::Add(private(0x5000), small)),
        (0x5000, NONE, large, Entry::Absent, Action::Add(private(0x5000), small)),
        (0x20_0000, accept(1, 1, 0), small, Entry::Absent, Action::Add(private(0x20_0000), small)),
        (0x20_0000, accept(1, 1, 0), large, Entry::Absent, Action::Add(private(0x20_0000), large)),
        (0x20_3000, accept(0, 1, 0), large, Entry::Absent, Action::Add(private(0x20_3000), small)),
        (0xFFFF_0000, NONE, small, Entry::Absent, Action::Add(private(0xFFFF_0000), small)),
        (0x5000, pending, small, Entry::Absent, Action::Die(Death::PendingPage(0x5000))),
        (0x100_0000, NONE, small, Entry::Absent, Action::Die(Death::OutsideMemory(0x100_0000))),
        (0xFEC0_0000, NONE, small, Entry::Absent, Action::Die(Death::OutsideMemory(0xFEC0_0000))),
        (1 << 48, NONE, small, Entry::Absent, Action::Die(Death::OutsideMemory(1 << 48))),
        (
            0x20_3000,
            accept(0, 1, PENDING),
            large,
            Entry::Absent,
            Action::Die(Death::PartOfLargePage(0x20_3000)),
        ),
        (SHARED | 0x5000, NONE, small, Entry::Absent, Action::Back(shared(0x5000))),
        (SHARED | 0xFEC0_0000, NONE, small, Entry::Absent, Action::MarkMmio(shared(0xFEC0_0000))),
        (
            SHARED | 0xFEC0_0000,
            NONE,
            small,
            Entry::Mmio,
            Action::Die(Death::NoVe(SHARED | 0xFEC0_0000)),
        ),
    ] {
        let decided = decide(&td(pages), &violation(gpa, extended), |_| entry);
        assert_eq!(decided, action, "{gpa:#x}");
    }
}

/// Takes the faults one after the other; what the module has in the end.
fn faults(page_level: PageLevel, gpas: &[(u64, ExtendedQualification)]) -> (FakeModule, Vec<u64>) {
    let mut module = FakeModule::new();
    let (mut memory, mut devices, mut cpu) =
        (FakeMemory::new(), FakeDevices::default(), FakeCpu::default());
    let mut td = td(page_level);
    let mut vmm = Vmm {
        module: &mut module,
        memory: &mut memory,
        devices: &mut devices,
        cpu: &mut cpu,
        pool: pool(),
    };
    for (gpa, extended) in gpas {
        let regs = violation(*gpa, *extended);
        match decide(&td, &regs, |_| Entry::Absent) {
            Action::Add(gpa, PageLevel::Size4K) => add_small(&mut vmm, &mut td, gpa).unwrap(),
            Action::Add(gpa, _) => add_large(&mut vmm, &mut td, gpa).unwrap(),
            other => panic!("{other:?}"),
        }
    }
    let given = vmm.pool.given().map(|(page, _)| page.bits()).collect();
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
    assert_eq!(given.len(), 5);
}

#[test]
fn a_page_that_is_there_costs_no_memory() {
    let (_, once) = faults(PageLevel::Size4K, &[(0x5000, NONE)]);
    let (_, often) = faults(PageLevel::Size4K, &[(0x5000, NONE); 9]);
    assert_eq!(often.len(), once.len() + 1, "the spare page");
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
    let mut td = td(PageLevel::Size4K);
    let mut pool = pool();
    while pool.small().is_some() {}
    let mut vmm = Vmm {
        module: &mut module,
        memory: &mut memory,
        devices: &mut devices,
        cpu: &mut cpu,
        pool,
    };
    let added = add_small(&mut vmm, &mut td, PrivateGpa::new(0x5000));
    assert!(matches!(added, Err(Failure::OutOfMemory(_))));
}
