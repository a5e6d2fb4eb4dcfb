//! Translation and what follows from its failure. [ABI-G 10]

use abi::leaf::{tdg, tdh};
use abi::{Regs, Status};

use super::fake::PAGE;
use super::host::{Host, SEAMRR, Shape};
use crate::machine::{Exception, Outcome, TdExit};
use crate::sept::SeptState;
use crate::{Access, EptFault, Translation, Violation, ViolationKind};

const SHARED: u64 = 1 << 47;
const READ: Access = Access { read: true, write: false, execute: false };
const WRITE: Access = Access { read: false, write: true, execute: false };
const FETCH: Access = Access { read: false, write: false, execute: true };
/// Four pages of the VMM's for a shared EPT.
const TABLES: u64 = 0x4_0000;
const SUPPRESS_VE: u64 = 1 << 63;
const WRITE_BACK: u64 = 6 << 3;

fn translate(host: &Host, gpa: u64, access: Access) -> Translation {
    host.module.translate(&host.m, host.vcpu(), gpa, access)
}

fn violation(host: &Host, gpa: u64, access: Access) -> Violation {
    match translate(host, gpa, access) {
        Translation::Violation(violation) => violation,
        mapped @ Translation::Mapped { .. } => panic!("{gpa:#x}: {mapped:?}"),
    }
}

fn outcome(host: &mut Host, gpa: u64, access: Access) -> Outcome {
    let violation = violation(host, gpa, access);
    let fault = EptFault { gpa, gla: Some(0x7000_0123), access, ..EptFault::default() };
    let v = host.vcpu();
    host.module.ept_violation(&mut host.m, v, fault, violation)
}

/// (reason, qualification, extended qualification, GPA).
fn exit(outcome: Outcome) -> (u32, u64, u64, u64) {
    match outcome {
        Outcome::Exit(TdExit::Async { class: 0, reason, qualification, extended, gpa, .. }) => {
            (reason, qualification, extended, gpa)
        }
        other => panic!("{other:?}"),
    }
}

/// Maps shared GPA 0x5000 by `leaf`; the tables above are readable and writable.
fn with_shared_ept(host: &mut Host, leaf: u64) {
    for level in 0..3 {
        let table = TABLES + level * PAGE;
        let index = if level == 0 { 256 } else { 0 };
        host.m.vmm_write(table + index * 8, &((table + PAGE) | 7).to_le_bytes());
    }
    host.m.vmm_write(TABLES + 3 * PAGE + 5 * 8, &leaf.to_le_bytes());
    let eptp = abi::field::vp::SHARED_EPTP.0;
    let tdvpr = host.tdvpr;
    host.must(tdh::VP_WR, [tdvpr, eptp, TABLES, u64::MAX]);
}

#[test]
fn private_memory_is_reached_through_the_secure_ept() {
    let mut host = Host::runnable(Shape::default());
    let (tdr, large) = (host.tdr, host.fresh_large_page());
    let page = host.must(tdh::MEM_SEPT_RD, [0, tdr, 0, 0]).rcx & 0x000F_FFFF_FFFF_F000;
    let all = Access { read: true, write: true, execute: true };
    let mapped = |hpa, level| Translation::Mapped { hpa, level, writable: true, executable: true };
    assert_eq!(translate(&host, 0x123, all), mapped(page + 0x123, 0));
    host.must(tdh::MEM_PAGE_AUG, [PAGE << 9 | 1, tdr, large, 0]);
    let pending = ViolationKind::Private(SeptState::Pending);
    assert_eq!(violation(&host, (PAGE << 9) + 5, READ).kind, pending);
    assert_eq!(host.accept(PAGE << 9 | 1), Outcome::Done);
    assert_eq!(translate(&host, (PAGE << 9) + 0x12345, all), mapped(large + 0x12345, 1));
}

#[test]
fn five_levels_reach_above_bit_47() {
    let shape = Shape { five_levels: true, config_flags: 5, ..Shape::default() };
    let mut host = Host::runnable(shape);
    let (tdr, page) = (host.tdr, host.fresh_page());
    let gpa = 1 << 50;
    for level in (1..=4).rev() {
        let table = host.fresh_page();
        host.must(tdh::MEM_SEPT_ADD, [gpa | level, tdr, table, 0]);
    }
    host.must(tdh::MEM_PAGE_AUG, [gpa, tdr, page, 0]);
    assert_eq!(host.accept(gpa), Outcome::Done);
    assert!(matches!(translate(&host, gpa, WRITE), Translation::Mapped { hpa, .. } if hpa == page));
    let shared = violation(&host, 1 << 51, READ).kind;
    assert_eq!(shared, ViolationKind::Shared { suppress_ve: false }, "no root: zeros");
    assert_eq!(violation(&host, 1 << 52, READ).kind, ViolationKind::BeyondWidth);
}

/// Rows of the table of [ABI-G 10] that can occur without migration.
#[test]
fn a_private_violation_exits_unless_the_page_is_pending() {
    let mut host = Host::runnable(Shape { attributes: 0, ..Shape::default() });
    let (tdr, page) = (host.tdr, host.fresh_page());
    assert_eq!(exit(outcome(&mut host, 0x3008, WRITE)), (48, 2, 0, 0x3008), "free");
    host.must(tdh::MEM_PAGE_AUG, [0x1000, tdr, page, 0]);
    assert_eq!(outcome(&mut host, 0x1234, FETCH), Outcome::Inject(Exception::Ve));
    let info = host.done(tdg::VP_VEINFO_GET, |_| ());
    assert_eq!((info.rcx, info.rdx), (48, 4 | 1 << 7 | 1 << 8));
    assert_eq!((info.r8, info.r9), (0x7000_0123, 0x1234));
    assert_eq!(outcome(&mut host, 0x1234, READ), Outcome::Inject(Exception::Ve));
    assert_eq!(outcome(&mut host, 0x1234, READ), Outcome::Inject(Exception::Df));
    host.must(tdh::MEM_RANGE_BLOCK, [0x1000, tdr, 0, 0]);
    assert_eq!(exit(outcome(&mut host, 0x1000, READ)), (48, 1, 0, 0x1000), "pending, blocked");
    host.must(tdh::MEM_RANGE_BLOCK, [0, tdr, 0, 0]);
    assert_eq!(exit(outcome(&mut host, 0, READ)), (48, 1, 0, 0), "blocked");
    let mut disabled = Host::runnable(Shape::default());
    let (tdr, page) = (disabled.tdr, disabled.fresh_page());
    disabled.must(tdh::MEM_PAGE_AUG, [0x1000, tdr, page, 0]);
    assert_eq!(exit(outcome(&mut disabled, 0x1000, WRITE)), (48, 2, 6, 0x1000));
}

#[test]
fn a_gpa_beyond_48_bits_is_a_reserved_bit_fault() {
    let mut host = Host::runnable(Shape::default());
    let v = host.vcpu();
    let wide = violation(&host, 1 << 50 | SHARED, WRITE);
    assert_eq!(wide.kind, ViolationKind::BeyondWidth);
    let fault = EptFault {
        gpa: 1 << 50,
        gla: Some(0xABC),
        access: WRITE,
        user: true,
        ..EptFault::default()
    };
    let mut answer = |fault| host.module.ept_violation(&mut host.m, v, fault, wide);
    let page_fault = Exception::Pf { cr2: 0xABC, error: 0b1111 };
    assert_eq!(answer(fault), Outcome::Inject(page_fault));
    let delivering = |vector| EptFault { delivering: Some(vector), ..fault };
    assert_eq!(answer(delivering(14)), Outcome::Inject(Exception::Df));
    assert_eq!(answer(delivering(20)), Outcome::Inject(Exception::Df));
    assert_eq!(answer(delivering(13)), Outcome::Inject(page_fault));
    assert_eq!(answer(delivering(8)), Outcome::Exit(crate::triple_fault()));
    assert_eq!(exit(answer(EptFault { gla: None, ..fault })).0, 48);
}

#[test]
fn shared_memory_follows_the_vmms_ept() {
    let mut host = Host::runnable(Shape::default());
    with_shared_ept(&mut host, 0xFEC0_0000 | 3);
    let mapped =
        Translation::Mapped { hpa: 0xFEC0_0010, level: 0, writable: true, executable: false };
    assert_eq!(translate(&host, SHARED | 0x5010, WRITE), mapped);
    let fetch = violation(&host, SHARED | 0x5000, FETCH);
    assert_eq!(fetch.kind, ViolationKind::Shared { suppress_ve: false });
    assert!(fetch.permissions.write && !fetch.permissions.execute);
    // Nothing there: convertible. This is the MMIO of a VMM that cleared the bit.
    assert_eq!(outcome(&mut host, SHARED | 0x6004, WRITE), Outcome::Inject(Exception::Ve));
    let info = host.done(tdg::VP_VEINFO_GET, |_| ());
    assert_eq!((info.rcx, info.rdx & 0x3F, info.r9), (48, 2, SHARED | 0x6004));
    assert_eq!(host.module.counts(&host.m, host.tdr).ve(48), 1);
    with_shared_ept(&mut host, SUPPRESS_VE);
    let refused = exit(outcome(&mut host, SHARED | 0x5004, READ));
    assert_eq!(refused, (48, 1, 0, SHARED | 0x5004));
}

#[test]
fn a_shared_violation_exits_while_ve_info_is_taken_or_an_event_is_delivered() {
    let mut host = Host::runnable(Shape::default());
    with_shared_ept(&mut host, 0);
    let v = host.vcpu();
    let gpa = SHARED | 0x5000;
    let violation = violation(&host, gpa, READ);
    let fault = EptFault { gpa, access: READ, delivering: Some(32), ..EptFault::default() };
    let delivering = host.module.ept_violation(&mut host.m, v, fault, violation);
    assert_eq!(exit(delivering).0, 48);
    assert_eq!(outcome(&mut host, gpa, READ), Outcome::Inject(Exception::Ve));
    assert_eq!(exit(outcome(&mut host, gpa, READ)).0, 48);
}

#[test]
fn a_misconfigured_shared_entry_exits_with_reason_49() {
    let mut host = Host::runnable(Shape::default());
    let owned = host.tdr;
    let bad = [
        0x9000 | 2,
        0x9000 | 4,
        0x9000 | 6,
        0x9000 | 3 | 2 << 3,
        0x9000 | 3 | 7 << 3,
        owned | 3 | WRITE_BACK,
        SEAMRR.0 | 3 | WRITE_BACK,
        0x200_0000 | 3 | WRITE_BACK,
        32 << 46 | 0x9000 | 3 | WRITE_BACK,
    ];
    for leaf in bad {
        with_shared_ept(&mut host, leaf);
        let seen = exit(outcome(&mut host, SHARED | 0x5004, READ));
        assert_eq!(seen, (49, 0, 0, SHARED | 0x5004), "{leaf:#x}");
    }
    with_shared_ept(&mut host, 5 << 46 | 0x9000 | 1 | WRITE_BACK);
    let shared_key = translate(&host, SHARED | 0x5004, READ);
    assert!(matches!(shared_key, Translation::Mapped { hpa: 0x9004, writable: false, .. }));
}

#[test]
fn a_page_given_away_is_no_longer_reached_through_the_shared_half() {
    let mut host = Host::runnable(Shape::default());
    let (tdr, page) = (host.tdr, host.fresh_page());
    with_shared_ept(&mut host, page | 3 | WRITE_BACK);
    assert!(matches!(translate(&host, SHARED | 0x5000, WRITE), Translation::Mapped { .. }));
    host.must(tdh::MEM_PAGE_AUG, [0x1000, tdr, page, 0]);
    let kind = violation(&host, SHARED | 0x5000, WRITE).kind;
    assert_eq!(kind, ViolationKind::SharedMisconfigured);
}

#[test]
fn an_exit_and_a_new_entry_keep_the_epoch_count() {
    let mut host = Host::runnable(Shape::default());
    let tdr = host.tdr;
    let refcount = abi::field::td::REFCOUNT;
    for epoch in 1..4_u64 {
        host.enter(Regs::default());
        let inside = host.must(tdh::MNG_RD, [tdr, refcount.element((epoch & 1) as u32).0, 0, 0]);
        assert_eq!(inside.r8, 1);
        host.must(tdh::MEM_TRACK, [tdr, 0, 0, 0]);
        assert_eq!(host.status(tdh::MEM_TRACK, [tdr, 0, 0, 0]), Status::PREVIOUS_TLB_EPOCH_BUSY);
        let violation = outcome(&mut host, 0x3000, READ);
        let Outcome::Exit(exit) = violation else { panic!("{violation:?}") };
        host.exit(exit, Regs::default());
        let outside = host.must(tdh::MNG_RD, [tdr, refcount.element((epoch & 1) as u32).0, 0, 0]);
        assert_eq!(outside.r8, 0);
    }
}
