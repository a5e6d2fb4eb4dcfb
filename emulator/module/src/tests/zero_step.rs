//! The defence against zero-stepping, by exits at a RIP. [ABI-G 10], [ABI-H 5.2]

use abi::field::td as td_field;
use abi::leaf::{tdg, tdh};
use abi::{Regs, Status};

use super::fake::PAGE;
use super::host::Host;
use super::model::template;
use crate::machine::{AfterSeamcall, Outcome, TdExit};
use crate::tdvps::Tdvps;
use crate::{Access, EptFault, Translation};

const GPA: u64 = 0x7123;
/// An external interrupt.
const KICK: TdExit =
    TdExit::Async { class: 0, reason: 1, qualification: 0, extended: 0, gpa: 0, interruption: 0 };
const WRITE: Access = Access { read: false, write: true, execute: false };

fn violate(host: &mut Host, gpa: u64, fault: EptFault) -> Outcome {
    let v = host.vcpu();
    let Translation::Violation(violation) = host.module.translate(&host.m, v, gpa, WRITE) else {
        panic!("{gpa:#x} is mapped");
    };
    let fault = EptFault { gpa, access: WRITE, ..fault };
    host.module.ept_violation(&mut host.m, v, fault, violation)
}

/// Enters, violates [`GPA`] at RIP 0x1000, and exits.
fn step(host: &mut Host, fault: EptFault) {
    host.enter(Regs::default());
    host.m.rip = 0x1000;
    match violate(host, GPA, fault) {
        Outcome::Exit(exit) => {
            host.exit(exit, Regs::default());
        }
        other => panic!("{other:?}"),
    }
}

fn steps(host: &mut Host, count: u32) {
    (0..count).for_each(|_| step(host, EptFault::default()));
}

/// VP.ENTER with every register full; the registers after it, if it is refused.
fn refused(host: &mut Host) -> Option<Regs> {
    let rcx = host.tdvpr;
    let [rdx, rbx, rbp, rsi, rdi, r8] = [2, 3, 5, 6, 7, 8];
    let mut regs = Regs { rcx, rdx, rbx, rbp, rsi, rdi, r8, rsp: 4, r9: 9, ..Regs::default() };
    (regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15) = (10, 11, 12, 13, 14, 15);
    host.xmm = [[0x11; 16]; 16];
    match host.seamcall(&mut regs) {
        AfterSeamcall::Return => Some(regs),
        AfterSeamcall::EnterTd(_) => None,
    }
}

#[test]
fn the_seventh_violation_at_one_place_is_one_too_many() {
    let mut host = template();
    let (tdr, tdvpr) = (host.tdr, host.tdvpr);
    // The first finds RIP moved since the entry and starts the count.
    steps(&mut host, 6);
    assert_eq!(refused(&mut host.clone()), None, "six are borne");
    steps(&mut host, 1);
    let expected = Regs { rax: 48, rcx: 2, r8: 0x7000, rsp: 4, rbp: 5, ..Regs::default() };
    assert_eq!(refused(&mut host), Some(expected));
    assert_eq!(host.xmm, [[0; 16]; 16]);
    assert_eq!(refused(&mut host), Some(expected), "again and again");
    // A refused entry leaves nobody inside.
    host.must(tdh::MEM_TRACK, [tdr, 0, 0, 0]);
    host.must(tdh::MEM_TRACK, [tdr, 0, 0, 0]);
    // A page that the TD has not accepted is not mapped.
    let page = host.fresh_page();
    host.must(tdh::MEM_PAGE_AUG, [0x7000, tdr, page, 0]);
    assert_eq!(refused(&mut host), Some(expected));
    assert_eq!(host.accept(0x7000), Outcome::Done);
    assert_eq!(refused(&mut host), None);
    assert_eq!(host.status(tdh::VP_ENTER, [tdvpr, 0, 0, 0]), Status::VCPU_STATE_INCORRECT);
}

#[test]
fn an_exit_elsewhere_ends_the_suspicion() {
    let exits: [fn(&mut Host); 3] = [
        |host| {
            let v = host.vcpu();
            host.module.vm_exit(&mut host.m, v);
        },
        |host| {
            host.tdcall(tdg::VP_INFO, |_| ());
        },
        |host| {
            violate(host, GPA, EptFault::default());
        },
    ];
    for (row, exit) in exits.into_iter().enumerate() {
        let mut host = template();
        steps(&mut host, 7);
        host.m.rip = 0x2000;
        exit(&mut host);
        assert_eq!(refused(&mut host), None, "row {row}");
    }
    // Where the vCPU was entered, an exit ends nothing.
    let mut host = template();
    steps(&mut host, 7);
    let v = host.vcpu();
    host.module.vm_exit(&mut host.m, v);
    assert!(refused(&mut host).is_some());
}

#[test]
fn every_recorded_address_has_to_be_mapped_and_32_are_recorded() {
    let mut host = template();
    let tdr = host.tdr;
    steps(&mut host, 6);
    let gpa = |index: u64| 0x10_0000 + index * PAGE;
    // They fault in one entry: the VMM maps none of them between.
    host.enter(Regs::default());
    for index in 0..34 {
        violate(&mut host, gpa(index), EptFault::default());
    }
    host.exit(KICK, Regs::default());
    for index in 0..32 {
        assert_eq!(refused(&mut host).map(|regs| regs.r8), Some(gpa(index)), "{index}");
        let page = host.fresh_page();
        host.must(tdh::MEM_PAGE_AUG, [gpa(index), tdr, page, 0]);
        assert_eq!(host.accept(gpa(index)), Outcome::Done);
    }
    assert_eq!(refused(&mut host), None, "the 33rd was not recorded");
}

/// A TD that asked to be told, with a suspicion that the VMM has just ended.
fn told(fault: EptFault) -> Host {
    let mut host = template();
    let enables = td_field::NOTIFY_ENABLES.0;
    let write = |r: &mut Regs| (r.rcx, r.rdx, r.r8, r.r9) = (0, enables, 1, 1);
    assert_eq!(host.done(tdg::VM_WR, write).rax, 0);
    (0..7).for_each(|_| step(&mut host, fault));
    let (tdr, page) = (host.tdr, host.fresh_page());
    host.must(tdh::MEM_PAGE_AUG, [0x7000, tdr, page, 0]);
    assert_eq!(host.accept(0x7000), Outcome::Done);
    host
}

fn takes_ve(host: &mut Host) -> bool {
    let v = host.vcpu();
    host.module.takes_ve_at_entry(&mut host.m, v)
}

#[test]
fn a_td_that_asked_for_it_is_told_with_a_ve() {
    let fault = EptFault { gla: Some(0xAAAA), ..EptFault::default() };
    let mut host = told(fault);
    assert_eq!(refused(&mut host), None);
    assert!(takes_ve(&mut host));
    assert!(!takes_ve(&mut host), "once");
    let info = host.done(tdg::VP_VEINFO_GET, |_| ());
    // Bits 8 and 7: the violation had a linear address, which is not told.
    assert_eq!((info.rcx, info.rdx, info.r8, info.r9), (48, 0x182, 0, GPA));

    for (what, fault) in [
        ("an event was being delivered", EptFault { delivering: Some(32), ..fault }),
        ("NMIs are blocked", EptFault { nmi_blocked: true, ..fault }),
    ] {
        let mut host = told(fault);
        assert_eq!(refused(&mut host), None);
        assert!(!takes_ve(&mut host), "{what}");
    }
    let mut host = told(fault);
    let mut tdvps = Tdvps::load(&host.m, host.tdvpr);
    tdvps.ve_info.valid = u32::MAX;
    tdvps.store(&mut host.m, host.tdvpr);
    assert_eq!(refused(&mut host), None);
    assert!(!takes_ve(&mut host), "VE_INFO is not free");
    // Another exit came between.
    let mut host = told(fault);
    host.exit(TdExit::Vmcall, Regs::default());
    assert_eq!(refused(&mut host), None);
    assert!(!takes_ve(&mut host), "the last exit was another");
}

#[test]
fn a_td_that_did_not_ask_is_not_told() {
    let mut host = template();
    steps(&mut host, 7);
    let (tdr, page) = (host.tdr, host.fresh_page());
    host.must(tdh::MEM_PAGE_AUG, [0x7000, tdr, page, 0]);
    assert_eq!(host.accept(0x7000), Outcome::Done);
    assert_eq!(refused(&mut host), None);
    assert!(!takes_ve(&mut host));
}
