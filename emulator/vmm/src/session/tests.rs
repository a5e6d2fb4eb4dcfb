//! Whole runs over a scripted module.

use std::vec;
use std::vec::Vec;

use abi::exit::ExtendedQualification;
use abi::ghci::function;
use abi::{Hpa, Regs, Status, verdict};
use image::layout::{TD_HOB, TEMP_MEM, TRAILER_SIZE};
use image::{Parts, assemble, image_size};

use super::*;
use crate::fakes::{FakeCpu, FakeDevices, FakeMemory, FakeModule};

const IMAGE_AT: u64 = 0x4000_0000;
const VMCALL: u64 = 77;
const EPT_VIOLATION: u64 = 48;

/// An image that `cargo xtask image` could have made.
fn good_image() -> Vec<u8> {
    let mut boot = vec![0x90; 0x1_0000];
    let trailer = boot.len() - TRAILER_SIZE;
    boot[trailer..0xFFF0].fill(0);
    let parts = Parts {
        kernel_elf: &[0x7F; 100],
        boot: &boot,
        td_hob: TD_HOB,
        temp_mem: &[TEMP_MEM],
        options: "",
    };
    let mut out = vec![0; image_size(&parts).unwrap()];
    assemble(&parts, &mut out).unwrap();
    out
}

/// One run; the verdict, the module, and what QEMU's devices saw.
fn run_with(
    mut module: FakeModule,
    text: &str,
    bytes: &[u8],
) -> (u32, FakeModule, Vec<crate::fakes::Seen>) {
    let (mut memory, mut devices) = (FakeMemory::new(), FakeDevices::default());
    let mut cpu = FakeCpu { step_ns: 1_000_000, ..FakeCpu::default() };
    let mut free = Ranges::new();
    free.insert(0x300_0000, 0xD00_0000);
    let config = Config::parse(text.as_bytes()).unwrap();
    let image = Image { bytes, at: Hpa::new(IMAGE_AT) };
    let seams =
        Seams { module: &mut module, memory: &mut memory, devices: &mut devices, cpu: &mut cpu };
    let mut hob: std::boxed::Box<[u8; HOB_BYTES]> = vec![0; HOB_BYTES].try_into().unwrap();
    let verdict = session(seams, free, &config, image, &mut hob);
    (verdict, module, devices.seen)
}

fn run(exits: Vec<(u64, Regs)>, text: &str) -> (u32, FakeModule) {
    let (verdict, module, _) = run_with(FakeModule::new().script(exits), text, &good_image());
    (verdict, module)
}

fn call(r11: u64, r12: u64, r13: u64, r14: u64, r15: u64) -> (u64, Regs) {
    (VMCALL, Regs { rcx: 0xFC00, r11, r12, r13, r14, r15, ..Regs::default() })
}

fn passed() -> (u64, Regs) {
    call(function::IO, 4, 1, 0xF4, verdict::PASSED.into())
}

fn violation(gpa: u64) -> (u64, Regs) {
    (EPT_VIOLATION, Regs { rcx: 2, r8: gpa, ..Regs::default() })
}

/// No page is the module's any more, and the TDR was the last.
fn assert_taken_apart(module: &FakeModule) {
    assert_eq!(module.owned.len(), 0, "pages are left");
    assert!(module.calls.ends_with(&["PHYMEM.PAGE.RECLAIM", "PHYMEM.PAGE.WBINVD"]));
}

#[test]
fn a_td_that_passes_is_built_run_and_taken_apart() {
    let (verdict, module) = run(vec![violation(0x5000), passed()], "memory=33554432");
    assert_eq!(verdict, verdict::PASSED);
    assert_taken_apart(&module);
    let at = |leaf: &&str| module.calls.iter().position(|call| call == leaf).unwrap();
    let order = [
        "SYS.CONFIG",
        "MNG.CREATE",
        "MNG.KEY.CONFIG",
        "MNG.ADDCX",
        "MNG.INIT",
        "VP.CREATE",
        "VP.ADDCX",
        "VP.INIT",
        "VP.WR",
        "MEM.PAGE.ADD",
        "MR.FINALIZE",
        "MEM.PAGE.AUG",
        "VP.FLUSH",
        "MNG.VPFLUSHDONE",
        "PHYMEM.CACHE.WB",
        "MNG.KEY.FREEID",
    ];
    let places: Vec<usize> = order.iter().map(at).collect();
    assert!(places.is_sorted(), "{places:?}");
    let count = |leaf| module.calls.iter().filter(|call| **call == leaf).count();
    assert_eq!((count("MNG.ADDCX"), count("VP.ADDCX")), (6, 5));
    assert_eq!(module.fields[&u64::MAX], 0x81_0000, "RCX is the TD HOB");
}

#[test]
fn pages_are_added_and_measured_as_the_image_says() {
    let image = good_image();
    let (_, module) = run(vec![passed()], "memory=33554432");
    let metadata = Metadata::parse(&image).unwrap();
    let pages = |section: &image::Section| section.page_addresses().collect::<Vec<_>>();
    let added: usize = metadata.sections().iter().map(|section| pages(section).len()).sum();
    let calls = module.calls.iter().filter(|call| **call == "MEM.PAGE.ADD").count();
    // Refused adds, for which a table was missing, are in the calls too.
    assert_eq!(calls - module.tables.len(), added);
    let measured: Vec<u64> = metadata
        .sections()
        .iter()
        .filter(|section| section.is_measured())
        .flat_map(pages)
        .flat_map(|page| (page..page + 0x1000).step_by(256))
        .collect();
    assert_eq!(module.extended, measured);
}

#[test]
fn the_td_gets_back_its_own_registers_with_the_answer() {
    let mut asks = call(function::RDMSR, 0x1B, 3, 4, 5);
    asks.1.rdi = 6;
    let (_, module) = run(vec![asks, passed()], "memory=33554432");
    let entry = module.entries[1];
    assert_eq!((entry.r10, entry.r11), (0, 0xFEE0_0D00));
    assert_eq!((entry.r12, entry.r13, entry.r15, entry.rdi), (0x1B, 3, 5, 6));
}

#[test]
fn ends_have_their_verdicts() {
    let triple = (Status::NON_RECOVERABLE_VCPU.0 | 2, Regs::default());
    let fatal = (Status::NON_RECOVERABLE_TD.0 | 65, Regs::default());
    let pending = (
        EPT_VIOLATION,
        Regs { r8: 0x5000, rdx: ExtendedQualification::PENDING_EPT_VIOLATION, ..Regs::default() },
    );
    for (exit, expected) in [
        (call(function::IO, 4, 1, 0xF4, 0x11), verdict::CHECK_FAILED),
        (call(function::REPORT_FATAL_ERROR, 0, 0, 0, 0), verdict::TD_DIED),
        (call(function::HLT, 1, 0, 0, 0), verdict::TIMED_OUT),
        (triple, verdict::TD_DIED),
        (fatal, verdict::TD_DIED),
        (pending, verdict::TD_DIED),
        (violation(0x4000_0000), verdict::TD_DIED),
        ((49, Regs { r8: 1 << 47, ..Regs::default() }), verdict::TD_DIED),
        ((3, Regs::default()), verdict::TD_DIED),
        ((75, Regs::default()), verdict::TD_DIED),
        ((Status::TD_FATAL.0, Regs::default()), verdict::EMULATOR_FAILED),
    ] {
        let (verdict, module) = run(vec![exit], "memory=33554432");
        assert_eq!(verdict, expected, "{exit:x?}");
        assert_taken_apart(&module);
    }
}

#[test]
fn a_busy_entry_is_tried_again_with_the_same_registers() {
    let busy = (Status::OPERAND_BUSY.0 | 128, Regs::default());
    let asks = call(function::RDMSR, 0x1B, 3, 4, 5);
    let (verdict, module) = run(vec![asks, busy, busy, passed()], "memory=33554432");
    assert_eq!(verdict, verdict::PASSED);
    assert_eq!(module.entries[1].r11, 0xFEE0_0D00);
    assert_eq!((module.entries[2], module.entries[3]), (module.entries[1], module.entries[1]));
}

#[test]
fn an_entry_that_stays_busy_ends_the_run() {
    let mut module = FakeModule::new().script([(Status::OPERAND_BUSY.0 | 128, Regs::default())]);
    module.repeats = true;
    let (verdict, module, _) = run_with(module, "memory=33554432", &good_image());
    assert_eq!((verdict, module.entries.len()), (verdict::EMULATOR_FAILED, 1000));
    assert_taken_apart(&module);
}

#[test]
fn interrupts_are_dispatched_and_the_watchdog_looks() {
    let tick = (1, Regs { r9: 1 << 31 | 0x40, ..Regs::default() });
    let mut module = FakeModule::new().script([tick]);
    module.repeats = true;
    let (verdict, module, _) = run_with(module, "memory=33554432,timeout=20", &good_image());
    assert_eq!(verdict, verdict::TIMED_OUT);
    assert!(module.entries.len() < 30);
    assert_taken_apart(&module);
    let (verdict, _) = run(vec![tick, tick, passed()], "memory=33554432");
    assert_eq!(verdict, verdict::PASSED);
}

#[test]
fn the_same_fault_for_ever_is_a_hang() {
    let mut module = FakeModule::new().script([violation(0x5000)]);
    module.repeats = true;
    let (verdict, module, _) = run_with(module, "memory=33554432", &good_image());
    assert_eq!(verdict, verdict::TIMED_OUT);
    assert!(module.entries.len() < 100);
    assert_taken_apart(&module);
}

#[test]
fn faults_that_go_on_are_not_a_hang() {
    let faults = (0..1000).map(|page| violation(page << 12)).chain([passed()]);
    let (verdict, module) = run(faults.collect(), "memory=33554432");
    assert_eq!(verdict, verdict::PASSED);
    assert_taken_apart(&module);
}

#[test]
fn a_refusal_at_any_step_still_gives_every_page_back() {
    for leaf in [
        "MNG.KEY.CONFIG",
        "MNG.ADDCX",
        "MNG.INIT",
        "VP.CREATE",
        "VP.ADDCX",
        "VP.INIT",
        "VP.WR",
        "MNG.RD",
        "MEM.SEPT.ADD",
        "MEM.PAGE.ADD",
        "MR.EXTEND",
        "MR.FINALIZE",
    ] {
        let mut module = FakeModule::new();
        module.refusals.push((leaf, Status::OPERAND_INVALID.with_detail(1)));
        let (verdict, module, _) = run_with(module, "memory=33554432", &good_image());
        assert_eq!(verdict, verdict::EMULATOR_FAILED, "{leaf}");
        assert_taken_apart(&module);
    }
}

#[test]
fn a_page_that_does_not_come_back_is_reported() {
    let mut module = FakeModule::new().script([passed()]);
    module.refusals.push(("PHYMEM.PAGE.RECLAIM", Status::OPERAND_BUSY.with_detail(1)));
    let (verdict, _, _) = run_with(module, "memory=33554432", &good_image());
    assert_eq!(verdict, verdict::EMULATOR_FAILED);
}

#[test]
fn what_cannot_be_built_is_refused_without_a_td() {
    let good = good_image();
    let large = "memory=33554432,attributes=0x8000000000000000";
    for (text, image) in [
        ("memory=33554432", &good[..good.len() / 2]),
        ("memory=33554432", &[]),
        ("memory=4194304", &good[..]),
        (large, &good[..]),
    ] {
        let (verdict, module, _) = run_with(FakeModule::new(), text, image);
        assert_eq!(verdict, verdict::REFUSED, "{text}");
        assert_eq!(module.owned.len(), 0);
        assert_eq!(module.entries.len(), 0);
    }
}

#[test]
fn a_probe_that_is_not_stopped_is_a_failure() {
    for probe in ["read-private", "write-private"] {
        let text = std::format!("memory=33554432,probe={probe}");
        let (verdict, module) = run(vec![], &text);
        assert_eq!(verdict, verdict::EMULATOR_FAILED);
        assert_eq!(module.entries.len(), 0, "the TD must not run");
        assert_taken_apart(&module);
    }
}
