//! TDG.SERVTD.RD and .WR in a TD without bindings. [ABI-G 2.11], [ABI-H 5.7]

use abi::field::td;
use abi::leaf::{tdg, tdh};
use abi::{Operand, Regs, Status};

use super::host::{Host, RAM, Shape};
use crate::machine::{AfterSeamcall, Outcome, TdExit};
use crate::tdvps::Tdvps;

const LEAVES: [u64; 2] = [tdg::SERVTD_RD, tdg::SERVTD_WR];

/// The TD's own UUID, as the guest reads it.
fn uuid(host: &mut Host) -> [u64; 4] {
    core::array::from_fn(|index| {
        let id = td::TD_UUID.element(index as u32).0;
        host.done(tdg::VM_RD, |regs| (regs.rcx, regs.rdx) = (0, id)).r8
    })
}

/// A call with a handle for `slot` of the TD at `target`.
fn call(host: &mut Host, leaf: u64, target: u64, slot: u64, uuid_of_target: [u64; 4]) -> Outcome {
    let own = uuid(host);
    host.tdcall(leaf, |regs| {
        regs.rcx = (target | slot).wrapping_add(own[0]);
        (regs.rdx, regs.r8, regs.r9) = (td::NUM_VCPUS.0, 88, 99);
        [regs.r10, regs.r11, regs.r12, regs.r13] = uuid_of_target;
    })
}

#[test]
fn a_slot_that_no_td_has_is_an_invalid_operand() {
    let mut host = Host::runnable(Shape::default());
    let tdr = host.tdr;
    for leaf in LEAVES {
        for slot in [1, 2, 0xFFF] {
            assert_eq!(call(&mut host, leaf, tdr, slot, [0; 4]), Outcome::Done);
            let regs = host.gprs();
            let invalid = Status::OPERAND_INVALID.with_operand(Operand::Rcx);
            assert_eq!(Status(regs.rax), invalid);
            let rdx = if leaf == tdg::SERVTD_RD { u64::MAX } else { td::NUM_VCPUS.0 };
            assert_eq!((regs.rdx, regs.r8, regs.r9), (rdx, 0, 99));
        }
    }
}

/// What the handle names, and the status that the VMM and later the guest see.
#[test]
fn a_target_that_cannot_be_opened_leaves_the_td() {
    let mut host = Host::runnable(Shape::default());
    let with = |status: Status| status.with_operand(Operand::Tdr);
    let free = host.fresh_page();
    let rows = [
        (1 << 46, with(Status::OPERAND_INVALID)),
        (0x1000 + RAM.0 + RAM.1, with(Status::PAGE_METADATA_INCORRECT)),
        (1 << 40, with(Status::OPERAND_ADDR_RANGE_ERROR)),
        (free, with(Status::PAGE_METADATA_INCORRECT)),
        (host.tdvpr, with(Status::PAGE_METADATA_INCORRECT)),
    ];
    for leaf in LEAVES {
        for (target, status) in rows {
            let exit = call(&mut host, leaf, target, 0, [0; 4]);
            assert_eq!(exit, Outcome::Exit(TdExit::CrossTdTrap { status, target }), "{target:#x}");
            assert_eq!(Status(host.gprs().rax), status);
        }
    }
}

#[test]
fn a_target_without_keys_or_tdcs_leaves_the_td() {
    let mut host = Host::runnable(Shape::default());
    let (target, hkid) = (host.fresh_page(), 34);
    host.must(tdh::MNG_CREATE, [target, hkid, 0, 0]);
    let trap = |status| Outcome::Exit(TdExit::CrossTdTrap { status, target });
    let exit = call(&mut host, tdg::SERVTD_RD, target, 0, [0; 4]);
    assert_eq!(exit, trap(Status::TD_KEYS_NOT_CONFIGURED));
    host.must(tdh::MNG_KEY_CONFIG, [target, 0, 0, 0]);
    let exit = call(&mut host, tdg::SERVTD_RD, target, 0, [0; 4]);
    assert_eq!(exit, trap(Status::TDCS_NOT_ALLOCATED));
}

#[test]
fn the_uuid_is_checked_before_the_binding() {
    let mut host = Host::runnable(Shape::default());
    let tdr = host.tdr;
    let own = uuid(&mut host);
    for leaf in LEAVES {
        assert_eq!(call(&mut host, leaf, tdr, 0, [1, 2, 3, 4]), Outcome::Done);
        assert_eq!(Status(host.gprs().rax), Status::TARGET_UUID_MISMATCH);
        // A TD that was never imported has zeros as its UUID before the import.
        assert_eq!(call(&mut host, leaf, tdr, 0, [0; 4]), Outcome::Done);
        let regs = host.gprs();
        assert_eq!(Status(regs.rax), Status::TARGET_UUID_UPDATED);
        assert_eq!([regs.r10, regs.r11, regs.r12, regs.r13], own);
        let exit = call(&mut host, leaf, tdr, 0, own);
        let status = Status::SERVTD_NOT_BOUND;
        assert_eq!(exit, Outcome::Exit(TdExit::CrossTdTrap { status, target: tdr }));
    }
}

/// [ABI-H 5.5-5.7], [ABI-G 15].
#[test]
fn a_cross_td_trap_shows_the_target_and_takes_the_recoverability_hint() {
    const HINT: u64 = 1 << 52;
    let mut host = Host::runnable(Shape::default());
    host.enter(Regs::default());
    let target = host.fresh_page();
    let Outcome::Exit(exit) = call(&mut host, tdg::SERVTD_RD, target, 0, [0; 4]) else {
        panic!("an exit");
    };
    assert!(exit.is_trap_like());
    let before = Regs { rbx: 3, rsp: 4, rbp: 5, r15: 15, ..Regs::default() };
    let status = Status::PAGE_METADATA_INCORRECT.with_operand(Operand::Tdr);
    let expected = Regs {
        rax: 0x9000_0009_0000_0000,
        rdx: status.0,
        r8: target,
        rsp: 4,
        rbp: 5,
        ..Regs::default()
    };
    assert_eq!(host.exit(exit, before), expected);
    let mut regs = Regs { rax: tdh::VP_ENTER, rcx: host.tdvpr | HINT, ..Regs::default() };
    assert_eq!(host.seamcall(&mut regs), AfterSeamcall::EnterTd(host.vcpu()));
    assert_eq!(host.gprs().rax, status.0 | 1 << 60);
    assert_eq!(host.gprs().r8, 0, "the VMM's registers do not reach the guest");
    // After a fault-like exit the hint is refused.
    let fault = TdExit::Async {
        class: 0,
        reason: 1,
        qualification: 0,
        extended: 0,
        gpa: 0,
        interruption: 0,
    };
    host.exit(fault, Regs::default());
    let mut regs = Regs { rax: tdh::VP_ENTER, rcx: host.tdvpr | HINT, ..Regs::default() };
    assert_eq!(host.seamcall(&mut regs), AfterSeamcall::Return);
    assert_eq!(Status(regs.rax), Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    let saved = Tdvps::load_gprs(&host.m, host.tdvpr);
    assert_eq!(saved.rax, status.0 | 1 << 60);
}
