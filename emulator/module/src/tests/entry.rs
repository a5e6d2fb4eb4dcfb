//! TDH.VP.ENTER: its checks in order, and those of the platform that other leaves share.
//! [ABI-H 5.2]

use abi::leaf::tdh;
use abi::{Operand, Regs, Status};
use zerocopy::IntoBytes;

use super::host::{BUFFER, GIB, Host, Shape};
use super::model::template;
use crate::machine::{AfterSeamcall, TdExit};
use crate::tdvps::{LastExit, Tdvps};

const BOOT_NT4: u64 = 1 << 22;
const MONITOR_FSM: u64 = 1 << 18;
const KICK: TdExit =
    TdExit::Async { class: 0, reason: 1, qualification: 0, extended: 0, gpa: 0, interruption: 0 };

fn rcx(status: Status) -> Status {
    status.with_operand(Operand::Rcx)
}

/// Everything is wrong at first; each row repairs the first thing that is.
#[test]
fn the_checks_come_in_the_order_of_the_reference() {
    let mut host = Host::built(Shape::default());
    let (tdr, tdvpr) = (host.tdr, host.tdvpr);
    let enter = |host: &mut Host, rcx: u64| {
        let mut regs = Regs { rcx, rbx: 3, rbp: 5, r8: 8, r15: 15, ..Regs::default() };
        let before = regs;
        assert_eq!(host.seamcall(&mut regs), AfterSeamcall::Return);
        assert_eq!(regs, Regs { rax: regs.rax, ..before }, "only RAX changes");
        Status(regs.rax)
    };
    host.m.misc_enable = BOOT_NT4;
    assert_eq!(enter(&mut host, 1), Status::LIMIT_CPUID_MAXVAL_SET);
    host.m.misc_enable = 0;
    for reserved in [1, 1 << 11, 1 << 54, 1 << 63] {
        assert_eq!(enter(&mut host, GIB | reserved), rcx(Status::OPERAND_INVALID));
    }
    assert_eq!(enter(&mut host, 1 << 46), rcx(Status::OPERAND_INVALID), "an HKID");
    assert_eq!(enter(&mut host, GIB), rcx(Status::OPERAND_ADDR_RANGE_ERROR));
    assert_eq!(enter(&mut host, tdr), rcx(Status::PAGE_METADATA_INCORRECT));
    assert_eq!(enter(&mut host, tdvpr), Status::OP_STATE_INCORRECT);
    let (bare, half) = (host.fresh_page(), host.fresh_page());
    host.must(tdh::VP_CREATE, [bare, tdr, 0, 0]);
    host.must(tdh::VP_CREATE, [half, tdr, 0, 0]);
    for _ in 0..5 {
        let page = host.fresh_page();
        host.must(tdh::VP_ADDCX, [page, half, 0, 0]);
    }
    host.must(tdh::MR_FINALIZE, [tdr, 0, 0, 0]);
    assert_eq!(enter(&mut host, bare), Status::TDCX_NUM_INCORRECT);
    assert_eq!(enter(&mut host, half), Status::VCPU_STATE_INCORRECT, "not initialised");

    host.must(tdh::VP_FLUSH, [tdvpr, 0, 0, 0]);
    (host.m.tsc_adjust, host.m.tsc_set_back) = (9, 1);
    for flag in [1 << 52, 1 << 53] {
        assert_eq!(enter(&mut host, tdvpr | flag), rcx(Status::OPERAND_INVALID));
    }
    host.must(tdh::VP_FLUSH, [tdvpr, 0, 0, 0]); // It was associated all the same.
    assert_eq!(enter(&mut host, tdvpr), Status::INCONSISTENT_MSR.with_detail(0x3B));
    host.m.tsc_adjust = 0;
    assert_eq!(enter(&mut host, tdvpr), Status::TSC_ROLLBACK);
    host.m.tsc_set_back = 0;
    host.enter(Regs::default());
    assert_eq!(enter(&mut host, tdvpr), Status::VCPU_STATE_INCORRECT, "inside");
}

#[test]
fn time_counts_from_the_last_exit() {
    let mut host = template();
    let tdvpr = host.tdvpr;
    host.m.tsc_set_back = 500;
    assert_eq!(host.status(tdh::VP_ENTER, [tdvpr, 0, 0, 0]), Status::TSC_ROLLBACK);
    host.m.tsc_set_back = 0;
    host.enter(Regs::default());
    host.m.tsc_set_back = 100;
    host.exit(KICK, Regs::default());
    host.enter(Regs::default());
    host.exit(KICK, Regs::default());
    host.m.tsc_set_back = 101;
    assert_eq!(host.status(tdh::VP_ENTER, [tdvpr, 0, 0, 0]), Status::TSC_ROLLBACK);
}

#[test]
fn a_td_with_monitor_wants_it_to_work() {
    let mut host = Host::with_tdcs();
    host.module.config.cpuid_config[0][2] = 8;
    let mut params = Host::params(Shape::default());
    params.cpuid_config[0][2] = 8;
    host.m.vmm_write(BUFFER, params.as_bytes());
    let (tdr, tdvpr) = (host.tdr, host.fresh_page());
    host.must(tdh::MNG_INIT, [tdr, BUFFER, 0, 0]);
    host.tdvpr = tdvpr;
    host.must(tdh::VP_CREATE, [tdvpr, tdr, 0, 0]);
    for _ in 0..5 {
        let page = host.fresh_page();
        host.must(tdh::VP_ADDCX, [page, tdvpr, 0, 0]);
    }
    host.must(tdh::VP_INIT, [tdvpr, 0, 0, 0]);
    host.must(tdh::MR_FINALIZE, [tdr, 0, 0, 0]);
    let refused = Status::INCORRECT_MSR_VALUE.with_detail(0x1A0);
    assert_eq!(host.status(tdh::VP_ENTER, [tdvpr, 0, 0, 0]), refused);
    host.m.misc_enable = MONITOR_FSM;
    host.enter(Regs::default());
}

#[test]
fn the_hint_is_for_a_trap_like_exit_and_reaches_the_guest() {
    let trap = TdExit::CrossTdTrap { status: Status::OPERAND_BUSY, target: 0x5000 };
    for (hint, seen) in [(0, 0x8000_0009), (1 << 52, 0x9000_0009)] {
        let mut host = template();
        host.enter(Regs::default());
        let guest = Regs { rax: Status::CROSS_TD_TRAP.0, ..host.gprs() };
        Tdvps::store_gprs(&mut host.m, host.tdvpr, &guest);
        host.exit(trap, Regs::default());
        let last = Tdvps::load(&host.m, host.tdvpr).last_exit;
        assert_eq!(last, LastExit::AsyncTrap as u32);
        let mut regs = Regs { rcx: host.tdvpr | hint, ..Regs::default() };
        assert_eq!(host.seamcall(&mut regs), AfterSeamcall::EnterTd(host.vcpu()));
        assert_eq!(host.gprs().rax >> 32, seen, "hint {hint:#x}");
    }
}

/// The same platform checks in the leaves that build a TD.
#[test]
fn mng_init_and_vp_init_look_at_the_platform_too() {
    let mut host = Host::with_tdcs();
    let tdr = host.tdr;
    let init = |host: &mut Host| {
        let regs = host.call(tdh::MNG_INIT, |r| (r.rcx, r.rdx) = (tdr, BUFFER));
        (Status(regs.rax), regs.rcx)
    };
    host.m.misc_enable = BOOT_NT4;
    assert_eq!(init(&mut host), (Status::LIMIT_CPUID_MAXVAL_SET, 0), "before the TDR");
    host.m.misc_enable = 0;
    // TSC_ADJUST is looked at after the frequency and before the reserved bytes.
    let changed = (Status::INCONSISTENT_MSR.with_detail(0x3B), 0);
    host.m.tsc_adjust = 1;
    let mut params = Host::params(Shape::default());
    params._rsvd_02a[0] = 1;
    host.m.vmm_write(BUFFER, params.as_bytes());
    assert_eq!(init(&mut host), changed);
    params.tsc_frequency_25mhz = 3;
    host.m.vmm_write(BUFFER, params.as_bytes());
    let frequency = Status::OPERAND_INVALID.with_operand(Operand::TscFrequency);
    assert_eq!(init(&mut host), (frequency, 0));

    let mut host = Host::initialized(Shape::default());
    let (tdr, tdvpr) = (host.tdr, host.fresh_page());
    host.must(tdh::VP_CREATE, [tdvpr, tdr, 0, 0]);
    for _ in 0..5 {
        let page = host.fresh_page();
        host.must(tdh::VP_ADDCX, [page, tdvpr, 0, 0]);
    }
    host.m.tsc_adjust = 1;
    assert_eq!(host.status(tdh::VP_INIT, [tdvpr, 0, 0, 0]), changed.0);
    // The vCPU has been counted: the only one that MAX_VCPUS allows.
    host.m.tsc_adjust = 0;
    assert_eq!(host.status(tdh::VP_INIT, [tdvpr, 0, 0, 0]), Status::MAX_VCPUS_EXCEEDED);
}
