//! Injected statuses: when they come, and what they leave behind.

use abi::leaf::{tdg, tdh};
use abi::{Regs, Status};

use super::host::{HKID, Host, Shape, ZEROS};
use crate::injection::Injections;
use crate::machine::{Outcome, TdExit};

const BUSY: Status = Status::OPERAND_BUSY.with_detail(1);
const GPA: u64 = 0x1000;

fn inject(host: &mut Host, rules: &[&str]) {
    host.module.config.injections = Injections::NONE;
    for rule in rules {
        host.module.config.injections.add(rule).unwrap();
    }
}

#[test]
fn a_busy_leaf_has_no_effect_and_works_afterwards() {
    let mut host = Host::runnable(Shape::default());
    let (tdr, page) = (host.tdr, host.fresh_page());
    inject(&mut host, &["tdh.6:8000020000000001:1"]);
    let operands = |regs: &mut Regs| {
        (regs.rcx, regs.rdx, regs.r8, regs.r9) = (GPA, tdr, page, 9);
    };
    let regs = host.call(tdh::MEM_PAGE_AUG, operands);
    assert_eq!(regs, Regs { rax: BUSY.0, r8: page, r9: 9, ..Regs::default() });
    assert!(!host.m.hidden.contains(&page));
    let regs = host.call(tdh::MEM_PAGE_AUG, operands);
    assert_eq!(Status(regs.rax), Status::SUCCESS);
    host.assert_ownership();
}

#[test]
fn checks_of_rax_and_of_the_systems_state_come_first() {
    let mut host = Host::power_on();
    inject(&mut host, &["tdh.9:80000200000000ba:1"]);
    assert!(host.status(tdh::MNG_CREATE, [0; 4]).is(Status::SYS_NOT_READY));
    assert!(host.status(tdh::MNG_CREATE | 1 << 24, [0; 4]).is(Status::OPERAND_INVALID));
    let mut host = Host::ready();
    inject(&mut host, &["tdh.9:80000200000000ba:1"]);
    let tdr = host.fresh_page();
    // Before the leaf's own: the HKID is none.
    assert!(host.status(tdh::MNG_CREATE, [tdr, 0, 0, 0]).is(Status::OPERAND_BUSY));
    assert!(host.status(tdh::MNG_CREATE, [tdr, 0, 0, 0]).is(Status::OPERAND_INVALID));
    assert_eq!(host.status(tdh::MNG_CREATE, [tdr, HKID, 0, 0]), Status::SUCCESS);
}

#[test]
fn a_busy_entry_leaves_every_register() {
    let mut host = Host::runnable(Shape::default());
    inject(&mut host, &["tdh.0:80000200000000a9:1"]);
    let tdvpr = host.tdvpr;
    let before = Regs { rcx: tdvpr, rbx: 3, rbp: 5, r15: 15, ..Regs::default() };
    let regs = host.call(tdh::VP_ENTER, |regs| *regs = Regs { rax: tdh::VP_ENTER, ..before });
    assert_eq!(regs, Regs { rax: 0x8000_0200_0000_00A9, ..before });
    host.enter(before);
}

#[test]
fn an_interrupted_write_back_is_resumed() {
    const RESUME: [u64; 4] = [1, 0, 0, 0];
    let mut host = Host::runnable(Shape::default());
    let (tdr, tdvpr) = (host.tdr, host.tdvpr);
    host.must(tdh::VP_FLUSH, [tdvpr, 0, 0, 0]);
    host.must(tdh::MNG_VPFLUSHDONE, [tdr, 0, 0, 0]);
    inject(&mut host, &["tdh.40:8000000300000000:2"]);
    assert!(host.status(tdh::PHYMEM_CACHE_WB, [0; 4]).is(Status::INTERRUPTED_RESUMABLE));
    assert!(host.status(tdh::PHYMEM_CACHE_WB, RESUME).is(Status::INTERRUPTED_RESUMABLE));
    assert!(host.status(tdh::MNG_KEY_FREEID, [tdr, 0, 0, 0]).is(Status::WBCACHE_NOT_COMPLETE));
    host.must(tdh::PHYMEM_CACHE_WB, RESUME);
    assert!(host.status(tdh::PHYMEM_CACHE_WB, RESUME).is(Status::WBCACHE_RESUME_ERROR));
    host.must(tdh::MNG_KEY_FREEID, [tdr, 0, 0, 0]);
}

/// A TD that runs, with a page to accept.
fn running() -> Host {
    let mut host = Host::runnable(Shape::default());
    let (tdr, page) = (host.tdr, host.fresh_page());
    host.must(tdh::MEM_PAGE_AUG, [GPA, tdr, page, ZEROS]);
    host.enter(Regs::default());
    host
}

#[test]
fn a_busy_tdcall_is_a_call_like_another() {
    let mut host = running();
    inject(&mut host, &["tdg.6:8000020000000001:1:1000"]);
    let before = Regs { rcx: GPA, rdx: 2, r11: 11, ..host.gprs() };
    let regs = host.done(tdg::MEM_PAGE_ACCEPT, |regs| *regs = before);
    assert_eq!(regs, Regs { rax: BUSY.0, ..before });
    let counted = |host: &Host| {
        let counts = host.module.counts(&host.m, host.tdr);
        counts.tdcall(tdg::MEM_PAGE_ACCEPT)
    };
    assert_eq!(counted(&host), 1);
    let regs = host.done(tdg::MEM_PAGE_ACCEPT, |regs| *regs = before);
    assert_eq!((Status(regs.rax), counted(&host)), (Status::SUCCESS, 2));
    assert_eq!(host.done(tdg::MEM_PAGE_ACCEPT | 1 << 24, |_| ()).rax >> 32, 0xC000_0100);
}

/// HP_LOCK_TIMEOUT at the test's 2.5 GHz: one second.
const TIMEOUT: u64 = 2_500_000_000;

#[test]
fn what_the_host_wins_is_busy_for_the_guest() {
    let mut host = running();
    inject(&mut host, &["tdg.6:8000020400000001:2"]);
    for _ in 0..2 {
        assert_eq!(host.done(tdg::MEM_PAGE_ACCEPT, |regs| regs.rcx = GPA).rax, BUSY.0);
        host.m.ticks += TIMEOUT - 1;
    }
    assert_eq!(host.done(tdg::MEM_PAGE_ACCEPT, |regs| regs.rcx = GPA).rax, 0);
}

#[test]
fn a_guest_that_loses_for_too_long_leaves() {
    /// VP.ENTER: the VMM may have done something about it.
    const HINT: u64 = 1 << 52;
    let mut host = running();
    inject(&mut host, &["tdg.6:8000020400000001:9"]);
    assert_eq!(host.done(tdg::MEM_PAGE_ACCEPT, |regs| regs.rcx = GPA).rax, BUSY.0);
    host.m.ticks += TIMEOUT;
    let outcome = host.accept(GPA);
    assert_eq!(outcome, Outcome::Exit(TdExit::HostPriorityTimeout));
    assert!(outcome.finishes_tdcall());
    let regs = host.exit(TdExit::HostPriorityTimeout, Regs { rbx: 3, rbp: 5, ..Regs::default() });
    assert_eq!(regs, Regs { rax: 0x9000_0205_0000_0000, rbp: 5, ..Regs::default() });
    let mut regs = Regs { rax: tdh::VP_ENTER, rcx: host.tdvpr | HINT, ..Regs::default() };
    host.seamcall(&mut regs);
    assert_eq!(host.gprs().rax, BUSY.0 | 1 << 60);
}

#[test]
fn another_answer_ends_the_losing() {
    let mut host = running();
    inject(&mut host, &["tdg.6:8000020400000001:1", "tdg.6:8000020000000001:1"]);
    host.module.config.injections.add("tdg.6:8000020400000001:1").unwrap();
    for _ in 0..3 {
        assert_eq!(host.done(tdg::MEM_PAGE_ACCEPT, |regs| regs.rcx = GPA).rax, BUSY.0);
        host.m.ticks += TIMEOUT;
    }
}
