//! MapGPA as a TD sees it.

use abi::ghci::function;
use proptest::prelude::*;

use super::super::tests::{Bench, SHARED};
use super::*;
use crate::shared_ept::Entry;

const RAM: u64 = 16 << 20;

fn map(bench: &mut Bench, start: u64, bytes: u64) -> (GhciStatus, u64) {
    bench.call([function::MAP_GPA, start, bytes, 0, 0])
}

fn entry(bench: &Bench, address: u64) -> Entry {
    let gpa = abi::SharedGpa::try_new(address, bench.td.width).unwrap();
    bench.vcpu.shared.entry(&bench.memory, gpa)
}

fn hostile(mode: MapGpaMode) -> Bench {
    let mut bench = Bench::new();
    bench.td.conversion.mode = mode;
    bench
}

#[test]
fn a_range_that_is_none_is_refused_as_by_kvm() {
    let (invalid, unaligned) = (GhciStatus::INVALID_OPERAND, GhciStatus::ALIGN_ERROR);
    let top = 1 << 52;
    for (start, bytes, status) in [
        (0x5000, 0, invalid),
        (0x5000, u64::MAX, invalid),
        (0x5000, 0_u64.wrapping_sub(0x5000), invalid),
        (u64::MAX, 1, invalid),
        (top, 0x1000, invalid),
        (top - 0x1000, 0x2000, invalid),
        (SHARED - 0x1000, 0x2000, invalid),
        (0x5000, SHARED, invalid),
        (0x5001, 0x1000, unaligned),
        (0x5000, 0xFFF, unaligned),
        (SHARED | 0x5800, 0x800, unaligned),
        // The size comes first.
        (0x5001, 0, invalid),
    ] {
        let mut bench = Bench::new();
        assert_eq!(map(&mut bench, start, bytes), (status, start), "{start:#x} {bytes:#x}");
        assert!(bench.module.calls.is_empty());
    }
}

#[test]
fn memory_changes_sides_and_r11_is_left_alone() {
    let mut bench = Bench::new();
    let done = (GhciStatus::SUCCESS, function::MAP_GPA);
    assert_eq!(map(&mut bench, SHARED | 0x5000, 0x3000), done);
    assert_eq!(
        [0x4000, 0x7000, 0x8000].map(|at| entry(&bench, at)),
        [Entry::Private, Entry::Shared, Entry::Private]
    );
    assert_eq!(map(&mut bench, 0x6000, 0x1000), done);
    assert_eq!(
        [0x5000, 0x6000, 0x7000].map(|at| entry(&bench, at)),
        [Entry::Shared, Entry::Private, Entry::Shared]
    );
}

#[test]
fn devices_are_shared_and_can_not_be_private() {
    let mut bench = Bench::new();
    for (start, bytes) in [(0xFEC0_0000, 0x1000), (0xC000_0000, 0x3C00_0000), (1 << 40, 1 << 46)] {
        assert_eq!(map(&mut bench, SHARED | start, bytes).0, GhciStatus::SUCCESS, "{start:#x}");
    }
    assert!(bench.module.calls.is_empty());
    for (start, bytes, culprit) in [
        (0xFEC0_0000, 0x1000, 0xFEC0_0000),
        (RAM - 0x1000, 0x2000, RAM),
        (RAM - 0x20_0000, 0x40_0000, RAM),
        (1 << 50, 0x1000, 1 << 50),
    ] {
        let end = bench.end([function::MAP_GPA, start, bytes, 0, 0]);
        assert_eq!(end, End::Died(Death::Unconvertible(culprit)), "{start:#x}");
    }
}

#[test]
fn memory_behind_a_hole_is_found() {
    let mut bench = Bench::new();
    assert_eq!(
        map(&mut bench, SHARED | (RAM - 0x1000), (1 << 32) - RAM + 0x1000).0,
        GhciStatus::SUCCESS
    );
    assert_eq!((entry(&bench, RAM - 0x1000), entry(&bench, RAM)), (Entry::Shared, Entry::Private));
    assert_eq!(
        (entry(&bench, 0xFFFF_0000), entry(&bench, 0xFFFE_0000)),
        (Entry::Shared, Entry::Private)
    );
}

#[test]
fn an_interrupt_is_let_in_between_two_pieces() {
    let mut bench = Bench::new();
    let descriptor = &mut bench.vcpu.posted;
    descriptor.post(&mut bench.memory, 0x45);
    let start = SHARED | 0x1000;
    assert_eq!(map(&mut bench, start, 0x20_0000).0, GhciStatus::SUCCESS, "one piece");
    assert_eq!(map(&mut bench, start, 0x20_1000), (GhciStatus::RETRY, start + 0x20_0000));
    assert_eq!(entry(&bench, 0x20_0000), Entry::Shared);
    assert_eq!(entry(&bench, 0x20_1000), Entry::Private);
}

#[test]
fn the_watchdog_looks_between_two_pieces() {
    let mut bench = Bench::new();
    (bench.limit_ms, bench.cpu.step_ns) = (3, 1_000_000);
    assert_eq!(map(&mut bench, SHARED, 0x20_0000).0, GhciStatus::SUCCESS);
    let end = bench.end([function::MAP_GPA, SHARED, RAM, 0, 0]);
    assert_eq!(end, End::Hung(crate::end::Hang::Timeout { limit_ms: 3 }));
}

#[test]
fn retry_each_does_all_in_the_end() {
    let mut bench = hostile(MapGpaMode::RetryEach);
    let (mut at, end) = (SHARED | 0x5000, SHARED | 0x8000);
    for calls in 1.. {
        let (status, resume) = map(&mut bench, at, end - at);
        if status == GhciStatus::SUCCESS {
            assert_eq!(calls, 3);
            break;
        }
        assert_eq!((status, resume), (GhciStatus::RETRY, at + 0x1000));
        at = resume;
    }
    assert_eq!(entry(&bench, 0x7000), Entry::Shared);
}

#[test]
fn a_hostile_vmm_says_what_its_mode_is() {
    let start = SHARED | 0x5000;
    for (mode, answer) in [
        (MapGpaMode::RetryForEver, (GhciStatus::RETRY, start)),
        (MapGpaMode::RetryOutside, (GhciStatus::RETRY, start + 0x3000)),
        (MapGpaMode::Lie, (GhciStatus::SUCCESS, function::MAP_GPA)),
        (MapGpaMode::LieMmio, (GhciStatus::SUCCESS, function::MAP_GPA)),
        (MapGpaMode::Error(GhciStatus(0x1234)), (GhciStatus(0x1234), start)),
    ] {
        let mut bench = hostile(mode);
        assert_eq!(map(&mut bench, start, 0x3000), answer, "{mode:?}");
        assert_eq!(entry(&bench, 0x5000), Entry::Private, "{mode:?}");
        assert!(bench.module.calls.is_empty());
        // What no VMM takes is refused all the same.
        assert_eq!(map(&mut bench, start, 0).0, GhciStatus::INVALID_OPERAND);
    }
}

#[test]
fn backwards_is_told_to_who_went_on() {
    let mut bench = hostile(MapGpaMode::RetryBackwards);
    let start = SHARED | 0x5000;
    assert_eq!(map(&mut bench, start, 0x3000), (GhciStatus::RETRY, start + 0x1000));
    assert_eq!(entry(&bench, 0x5000), Entry::Shared);
    assert_eq!(map(&mut bench, start + 0x1000, 0x2000), (GhciStatus::RETRY, start));
    assert_eq!(map(&mut bench, start, 0x1000).0, GhciStatus::SUCCESS, "one page has no back");
    assert_eq!(map(&mut bench, start + 0x1000, 0x1000).0, GhciStatus::SUCCESS);
}

#[test]
fn a_busy_module_is_a_retry_from_the_page() {
    let mut bench = Bench::new();
    for _ in 0..2 {
        // A table down to the pages, so that there is something to block.
        bench.module.refusals.push(("MEM.RANGE.BLOCK", abi::Status::OPERAND_BUSY.with_detail(1)));
        let start = SHARED | 0x5000;
        assert_eq!(map(&mut bench, start, 0x3000), (GhciStatus::RETRY, start));
    }
    assert_eq!(map(&mut bench, SHARED | 0x5000, 0x3000).0, GhciStatus::SUCCESS);
}

fn operand() -> impl Strategy<Value = u64> {
    let page = |value: u64| value << 12;
    prop_oneof![
        any::<u64>(),
        (0..0x2000_u64).prop_map(page),
        (0..0x2000_u64).prop_map(move |value| SHARED | page(value)),
        (0..0x20_0000_u64).prop_map(page),
        (0..52_u32, any::<bool>()).prop_map(|(bit, less)| (1_u64 << bit).wrapping_sub(if less {
            0x1000
        } else {
            0
        })),
    ]
}

proptest! {
    #[test]
    fn no_range_panics_or_works_for_long(start in operand(), bytes in operand()) {
        let mut bench = Bench::new();
        let mut regs = Regs { rcx: 0xFCC0, r11: function::MAP_GPA, r12: start, r13: bytes, ..Regs::default() };
        match bench.serve(&mut regs) {
            Ok(()) => prop_assert!(matches!(
                GhciStatus(regs.r10),
                GhciStatus::SUCCESS | GhciStatus::INVALID_OPERAND | GhciStatus::ALIGN_ERROR
            )),
            Err(end) => prop_assert!(matches!(end, End::Died(Death::Unconvertible(_)))),
        }
        // RAM and image: a leaf for each page at most, where nothing is.
        prop_assert!(bench.module.calls.len() as u64 <= (RAM >> 12) + 16);
    }
}
