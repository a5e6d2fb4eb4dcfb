//! TDCALL: dispatch, VP.VMCALL both ways, VE_INFO, ACCEPT. [ABI-G 1-5, 11]

use abi::attributes::TdCtls;
use abi::field::{td as field, vp};
use abi::leaf::{tdg, tdh, versioned};
use abi::{ExitReason, Gpr, Operand, Regs, Status};

use super::fake::PAGE;
use super::host::{Host, KERNEL, Shape};
use crate::machine::{CpuMode, Exception, Machine, Outcome, TDVPS_XSAVE, TdExit};
use crate::module::ModuleConfig;
use crate::tdvps::Tdvps;

const MIB2: u64 = PAGE << 9;
/// TD_CTLS, with #VE on pending pages.
const PENDING_VE: Shape = Shape { attributes: 0, config_flags: 6, five_levels: false };

fn distinct(base: u64) -> Regs {
    let mut regs = Regs::default();
    for gpr in Gpr::ALL {
        regs[gpr] = base + gpr as u64;
    }
    regs
}

fn status(regs: &Regs) -> Status {
    Status(regs.rax)
}

#[test]
fn a_tdcall_outside_64_bit_kernel_mode_is_gp() {
    let mut host = Host::runnable(Shape::default());
    let v = host.vcpu();
    for mode in [CpuMode { cpl: 3, ..KERNEL }, CpuMode { long64: false, ..KERNEL }] {
        let outcome = host.module.tdcall(&mut host.m, v, &mode);
        assert_eq!(outcome, Outcome::Inject(Exception::Gp));
    }
}

#[test]
fn rax_is_checked_before_the_leaf() {
    let mut host = Host::runnable(Shape::default());
    for rax in [1 << 24 | 1, 1 << 63 | 1, versioned(tdg::VP_INFO, 1), 13, 28, 0xFFFF] {
        let regs = host.done(rax, |_| ());
        assert_eq!(status(&regs), Status::OPERAND_INVALID, "{rax:#x}");
    }
}

#[test]
fn vp_info_says_what_the_td_is() {
    let mut host = Host::runnable(Shape::default());
    let regs = host.done(tdg::VP_INFO, |regs| *regs = distinct(100));
    assert_eq!((regs.rax, regs.rcx, regs.rdx), (0, 48, 1 << 28));
    assert_eq!((regs.r8, regs.r9, regs.r11), (1 | 1 << 32, 0, 0));
    assert_eq!((regs.rbx, regs.r12), (103, 112), "other registers stay");
    assert_eq!(host.module.counts(&host.m, host.tdr).tdcall(1), 1);
}

#[test]
fn a_vmcall_shows_the_vmm_what_the_mask_says_and_nothing_else() {
    let mut host = Host::runnable(Shape::default());
    host.enter(Regs::default());
    let xsave = Tdvps::load(&host.m, host.tdvpr).pages[TDVPS_XSAVE];
    host.m.write_u64(xsave + 512, 3);
    for register in 0..16_u8 {
        host.m.write(xsave + 160 + 16 * u64::from(register), &[register + 1; 16]);
    }
    let mask = 0xC00 | 1 << 3 | 1 << (16 + 2);
    let call = host.tdcall(tdg::VP_VMCALL, |regs| {
        *regs = Regs { rcx: mask, r10: 0, r11: 30, ..distinct(1000) };
    });
    assert_eq!(call, Outcome::Exit(TdExit::Vmcall));
    host.xmm = [[0xEE; 16]; 16];
    let seen = host.exit(TdExit::Vmcall, distinct(7000));
    let expected =
        Regs { rax: 77, rcx: mask, rbx: 1003, r11: 30, rsp: 7004, rbp: 7005, ..Regs::default() };
    assert_eq!(seen, expected);
    assert_eq!(host.xmm[2], [3; 16]);
    assert!((0..16).filter(|i| *i != 2).all(|i| host.xmm[i] == [0; 16]));

    host.xmm = [[0xAB; 16]; 16];
    host.enter(distinct(9000));
    let guest = host.gprs();
    let expected = Regs { rax: 0, rcx: mask, rbx: 9003, r10: 9010, r11: 9011, ..distinct(1000) };
    assert_eq!(guest, expected);
    let mut xmm = [0; 16];
    host.m.read(xsave + 160 + 32, &mut xmm);
    assert_eq!(xmm, [0xAB; 16]);
    host.m.read(xsave + 160 + 16, &mut xmm);
    assert_eq!(xmm, [2; 16], "not in the mask");
    let counts = host.module.counts(&host.m, host.tdr);
    assert_eq!((counts.tdcall(0), counts.vmcall(30)), (1, 1));
}

#[test]
fn xmm_registers_in_their_initial_state_are_zero_whatever_memory_holds() {
    let mut host = Host::runnable(Shape::default());
    host.enter(Regs::default());
    let xsave = Tdvps::load(&host.m, host.tdvpr).pages[TDVPS_XSAVE];
    host.m.write(xsave + 160, &[0x11; 256]);
    host.tdcall(tdg::VP_VMCALL, |regs| regs.rcx = 0xFFFF_0000);
    host.xmm = [[0xEE; 16]; 16];
    host.exit(TdExit::Vmcall, Regs::default());
    assert_eq!(host.xmm, [[0; 16]; 16]);
    host.xmm[7] = [0x77; 16];
    // The guest asked for XMM7 alone this time.
    let mut regs = host.gprs();
    regs.rcx = 1 << (16 + 7);
    Tdvps::store_gprs(&mut host.m, host.tdvpr, &regs);
    host.enter(Regs::default());
    assert_eq!(host.m.read_u64(xsave + 512), 2, "SSE is in use now");
    assert_eq!(host.m.read_u64(xsave + 160), 0, "the stale value is gone");
    assert_eq!(host.m.read_u64(xsave + 160 + 16 * 7), 0x7777_7777_7777_7777);
}

#[test]
fn a_mask_with_forbidden_bits_is_refused_without_an_exit() {
    let mut host = Host::runnable(Shape::default());
    for mask in [1, 2, 1 << 4, 1 << 5, 1 << 32, 1 << 63] {
        let regs = host.done(tdg::VP_VMCALL, |regs| *regs = Regs { rcx: mask, ..distinct(50) });
        let refused = Status::OPERAND_INVALID.with_operand(Operand::Rcx);
        assert_eq!(regs, Regs { rax: refused.0, rcx: mask, ..distinct(50) });
    }
    let counts = host.module.counts(&host.m, host.tdr);
    assert_eq!((counts.tdcall(0), counts.vmcall(0)), (6, 0));
}

#[test]
fn rbp_is_passed_or_kept_as_no_rbp_mod_says() {
    let mut host = Host::runnable(Shape { config_flags: 0, ..Shape::default() });
    host.enter(Regs::default());
    let call = host.tdcall(tdg::VP_VMCALL, |regs| (regs.rcx, regs.rbp) = (1 << 5, 55));
    assert_eq!(call, Outcome::Exit(TdExit::Vmcall));
    assert_eq!(host.exit(TdExit::Vmcall, distinct(7000)).rbp, 55);
    host.enter(distinct(9000));
    assert_eq!(host.gprs().rbp, 9005);
    host.tdcall(tdg::VP_VMCALL, |regs| regs.rcx = 0);
    assert_eq!(host.exit(TdExit::Vmcall, distinct(7000)).rbp, 0, "not selected");
}

/// [ABI-H 5.5, 5.6].
#[test]
fn an_asynchronous_exit_shows_its_cause_and_no_register_of_the_guest() {
    let exit = TdExit::Async {
        class: 0,
        reason: 48,
        qualification: 0xFFFF_FFFF_0000_0182,
        extended: 6,
        gpa: 0x1234_5678,
        interruption: 9,
    };
    for (shape, clobbers, rbp) in [(4, false, 7005), (4, true, 0), (0, false, 0)] {
        let mut host = Host::runnable(Shape { config_flags: shape, ..Shape::default() });
        host.module.config =
            ModuleConfig { rbp_clobbered_on_async_exit: clobbers, ..host.module.config.clone() };
        host.enter(Regs::default());
        Tdvps::store_gprs(&mut host.m, host.tdvpr, &distinct(1000));
        let seen = host.exit(exit, distinct(7000));
        let expected = Regs {
            rax: 48,
            rcx: 0x182,
            rdx: 6,
            r8: 0x1234_5000,
            r9: 9,
            rsp: 7004,
            rbp,
            ..Regs::default()
        };
        assert_eq!(seen, expected);
        host.enter(distinct(9000));
        assert_eq!(host.gprs(), distinct(1000), "the VMM's registers do not reach the guest");
    }
}

#[test]
fn ve_info_is_given_once_and_a_second_ve_before_that_is_a_double_fault() {
    let mut host = Host::runnable(Shape::default());
    let v = host.vcpu();
    let none = host.done(tdg::VP_VEINFO_GET, |regs| *regs = distinct(10));
    assert_eq!(
        none,
        Regs {
            rax: Status::NO_VALID_VE_INFO.0,
            rcx: 0,
            rdx: 0,
            r8: 0,
            r9: 0,
            r10: 0,
            ..distinct(10)
        }
    );
    let io = |host: &mut Host| {
        host.module.instruction_ve(&mut host.m, v, ExitReason::IO, 0x3F8_0000, 1, 0x55)
    };
    assert_eq!(io(&mut host), Outcome::Inject(Exception::Ve));
    assert_eq!(io(&mut host), Outcome::Inject(Exception::Df));
    let regs = host.done(tdg::VP_VEINFO_GET, |_| ());
    assert_eq!((regs.rax, regs.rcx, regs.rdx), (0, 30, 0x3F8_0000));
    assert_eq!((regs.r8, regs.r9, regs.r10), (0, 0, 0x55_0000_0001));
    assert_eq!(status(&host.done(tdg::VP_VEINFO_GET, |_| ())), Status::NO_VALID_VE_INFO);
    let counts = host.module.counts(&host.m, host.tdr);
    assert_eq!((counts.ve(30), counts.tdcall(3)), (1, 3));
}

#[test]
fn cpuidve_set_writes_both_flags_or_none() {
    let mut host = Host::runnable(Shape::default());
    let v = host.vcpu();
    let regs = host.done(tdg::VP_CPUIDVE_SET, |regs| regs.rcx = 2);
    assert_eq!(regs.rax, 0);
    let info = host.module.td_info(&host.m, v);
    assert!(info.cpuid_user_ve && !info.cpuid_supervisor_ve);
    let regs = host.done(tdg::VP_CPUIDVE_SET, |regs| regs.rcx = 5);
    assert_eq!(status(&regs), Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    assert!(host.module.td_info(&host.m, v).cpuid_user_ve);
}

/// The table of [ABI-H 7.3] and the order of [ABI-G 11].
#[test]
fn accept_answers_as_the_table_says() {
    let mut host = Host::runnable(Shape::default());
    let (tdr, small, large) = (host.tdr, host.fresh_page(), host.fresh_large_page());
    host.must(tdh::MEM_PAGE_AUG, [0x1000, tdr, small, 0]);
    host.must(tdh::MEM_PAGE_AUG, [MIB2 | 1, tdr, large, 0]);
    host.m.write(small, &[9; 8]);
    let accept = |host: &mut Host, operand| {
        assert_eq!(host.accept(operand), Outcome::Done, "{operand:#x}");
        status(&host.gprs())
    };
    let exit = |host: &mut Host, operand| match host.accept(operand) {
        Outcome::Exit(TdExit::Async { reason: 48, qualification, extended, gpa, .. }) => {
            (qualification, extended, gpa)
        }
        other => panic!("{operand:#x}: {other:?}"),
    };
    let invalid = Status::OPERAND_INVALID.with_operand(Operand::Rcx);
    for bad in [0x1008, 1 << 52, 2, 0x1001, 1 << 47, 1 << 48] {
        assert_eq!(accept(&mut host, bad), invalid, "{bad:#x}");
    }
    // Found pending at the level asked for.
    assert_eq!(accept(&mut host, 0x1000), Status::SUCCESS);
    assert_eq!(host.m.read_u64(small), 0, "cleared");
    assert_eq!(accept(&mut host, 0x1000).0, 0x0000_0B0A_0000_0000);
    assert_eq!(accept(&mut host, 1).0, 0xC000_0B0B_0000_0001, "mapped by smaller pages");
    // A 4 KiB page of a pending 2 MiB page: state 2, a leaf, level 1.
    let info = |requested: u64, found: u64, state: u64, leaf: u64| {
        1 | (requested | found << 3 | state << 6 | leaf << 14) << 32
    };
    assert_eq!(exit(&mut host, MIB2 + 0x3000), (2, info(0, 1, 2, 1), MIB2 + 0x3000));
    // Free, and no table at all.
    assert_eq!(exit(&mut host, 0x5000), (2, info(0, 0, 0, 0), 0x5000));
    assert_eq!(exit(&mut host, 1 << 30), (2, info(0, 2, 0, 0), 1 << 30));
    assert_eq!(accept(&mut host, MIB2 | 1), Status::SUCCESS);
    assert_eq!(accept(&mut host, MIB2).0, 0x0000_0B0A_0000_0001, "inside a large page");
    host.must(tdh::MEM_RANGE_BLOCK, [0x1000, tdr, 0, 0]);
    assert_eq!(exit(&mut host, 0x1000), (2, info(0, 0, 1, 1), 0x1000), "blocked");
    let counts = host.module.counts(&host.m, tdr);
    assert_eq!(counts.tdcall(6), 11, "calls that did not finish are not counted");
}

#[test]
fn an_unfinished_tdcall_leaves_the_registers() {
    let mut host = Host::runnable(Shape::default());
    let before = Regs { rax: tdg::MEM_PAGE_ACCEPT, rcx: 0x5000, ..distinct(30) };
    assert!(matches!(host.tdcall(tdg::MEM_PAGE_ACCEPT, |regs| *regs = before), Outcome::Exit(_)));
    assert_eq!(host.gprs(), before);
}

#[test]
fn an_rtmr_is_extended_from_private_memory() {
    let mut host = Host::runnable(PENDING_VE);
    let (tdr, page) = (host.tdr, host.fresh_page());
    let extend = |host: &mut Host, gpa, index| {
        host.tdcall(tdg::MR_RTMR_EXTEND, |regs| (regs.rcx, regs.rdx) = (gpa, index))
    };
    let bad = |operand| Status::OPERAND_INVALID.with_operand(operand);
    assert_eq!(extend(&mut host, 0x20, 0), Outcome::Done);
    assert_eq!(status(&host.gprs()), bad(Operand::Rcx));
    assert_eq!(extend(&mut host, 1 << 47, 0), Outcome::Done);
    assert_eq!(status(&host.gprs()), bad(Operand::Rcx));
    assert_eq!(extend(&mut host, 0, 4), Outcome::Done);
    assert_eq!(status(&host.gprs()), bad(Operand::Rdx));
    assert_eq!(extend(&mut host, 0, 3), Outcome::Done);
    assert_eq!(status(&host.gprs()), Status::SUCCESS);
    let id = field::RTMR.element(18).0;
    let regs = host.done(versioned(tdg::VM_RD, 1), |regs| (regs.rcx, regs.rdx) = (0, id));
    // SHA-384 of 96 zero bytes.
    let digest: [u8; 48] = <sha2::Sha384 as sha2::Digest>::digest([0; 96]).into();
    assert_eq!(regs.r8.to_le_bytes(), digest[..8]);
    assert_eq!(regs.rdx, id + 1);
    // A pending operand: #VE at the TDCALL, without a linear address.
    host.must(tdh::MEM_PAGE_AUG, [0x1000, tdr, page, 0]);
    assert_eq!(extend(&mut host, 0x1040, 0), Outcome::Inject(Exception::Ve));
    let regs = host.done(tdg::VP_VEINFO_GET, |_| ());
    assert_eq!((regs.rcx, regs.rdx, regs.r8, regs.r9), (48, 1, 0, 0x1040));
    assert!(matches!(extend(&mut host, 0x2000, 0), Outcome::Exit(_)));
}

/// [ABI-G 2.8].
#[test]
fn vm_rd_and_wr_answer_in_the_order_of_the_table() {
    let mut host = Host::runnable(PENDING_VE);
    let rd = |host: &mut Host, version, rcx, id: u64| {
        host.done(versioned(tdg::VM_RD, version), |regs| {
            (regs.rcx, regs.rdx, regs.r8) = (rcx, id, 99);
        })
    };
    let id = field::CONFIG_FLAGS.0;
    let v0 = rd(&mut host, 0, 0, id);
    assert_eq!((v0.rax, v0.rdx, v0.r8), (0, id, 6));
    let v1 = rd(&mut host, 1, 0, id);
    assert_eq!((v1.rax, v1.rdx, v1.r8), (0, field::TD_CTLS.0, 6));
    let other = rd(&mut host, 1, 1, id);
    assert_eq!(status(&other), Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    assert_eq!((other.rdx, other.r8), (u64::MAX, 0));
    let first = rd(&mut host, 1, 0, u64::MAX);
    assert_eq!(first.rax, 0x0000_0C0B_0000_0000);
    assert_eq!(first.rdx, field::TD_UUID.0);
    assert_eq!(rd(&mut host, 2, 0, id).rax, 0xC000_0100_0000_0000);
    assert_eq!(rd(&mut host, 0, 0, u64::MAX).rax, 0xC000_0C00_0000_0000);
    assert_eq!(rd(&mut host, 0, 0, field::FATAL.0).rax, 0xC000_0C02_0000_0000);
    assert_eq!(rd(&mut host, 0, 0, 0x9100_0000_0000_0019).rax, 0xC000_0C00_0000_0000);

    let wr = |host: &mut Host, id: u64, value, mask| {
        host.done(tdg::VM_WR, |regs| {
            (regs.rcx, regs.rdx, regs.r8, regs.r9) = (0, id, value, mask);
        })
    };
    // As Linux: NOTIFY_ENABLES, no size, no context, all of the mask.
    assert_eq!(wr(&mut host, 0x9100_0000_0000_0010, 0, u64::MAX).rax, 0);
    let ctls = field::TD_CTLS.0;
    let set = wr(&mut host, ctls, TdCtls::PENDING_VE_DISABLE.bits(), 1);
    assert_eq!((set.rax, set.r8), (0, 0));
    assert_eq!(wr(&mut host, ctls, 0, 1).r8, 1);
    assert_eq!(wr(&mut host, ctls, 2, 2).rax, 0xC000_0C01_0000_0000);
    assert_eq!(wr(&mut host, ctls, 3, 3).rax, 0xC000_0C03_0000_0000);
    assert_eq!(wr(&mut host, id, 0, 1).rax, 0xC000_0C01_0000_0000);
    let mut rigid = Host::runnable(Shape::default());
    assert_eq!(wr(&mut rigid, ctls, 0, 1).rax, 0xC000_0C03_0000_0000);
    assert_eq!(wr(&mut rigid, ctls, 1, 1).rax, 0, "no change, no error");
}

/// [ABI-G 2.9].
#[test]
fn vp_rd_and_wr_reach_the_cpuid_controls() {
    let mut host = Host::runnable(Shape::default());
    let rd = |host: &mut Host, rcx, id: u64| {
        host.done(tdg::VP_RD, |regs| (regs.rcx, regs.rdx, regs.r8) = (rcx, id, 99))
    };
    let wr = |host: &mut Host, id: u64, value, mask| {
        host.done(tdg::VP_WR, |regs| {
            (regs.rcx, regs.rdx, regs.r8, regs.r9) = (0, id, value, mask);
        })
    };
    let control = vp::CPUID_CONTROL.element(5).0;
    assert_eq!(wr(&mut host, control, 3, 3).rax, 0);
    let read = rd(&mut host, 0, control);
    assert_eq!((read.rax, read.rdx, read.r8), (0, control + 1, 3));
    let v = host.vcpu();
    assert_eq!(host.module.td_info(&host.m, v).cpuid_control[5], 3);
    assert_eq!(wr(&mut host, control, 4, 4).rax, 0xC000_0C01_0000_0000);
    assert_eq!(wr(&mut host, vp::VCPU_INDEX.0, 1, 1).rax, 0xC000_0C01_0000_0000);
    let bad = rd(&mut host, 1, control);
    assert_eq!(status(&bad), Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    assert_eq!((bad.rdx, bad.r8), (u64::MAX, 0));
    let first = rd(&mut host, 0, u64::MAX);
    assert_eq!((first.rax, first.rdx), (0x0000_0C0B_0000_0000, vp::VCPU_INDEX.0));
    assert_eq!(rd(&mut host, 0, vp::SHARED_EPTP.0).rax, 0xC000_0C02_0000_0000);
}
