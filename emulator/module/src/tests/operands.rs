//! Memory operands of TDCALLs: private, shared, pending, missing. [ABI-G 2.0]

use abi::field::vp;
use abi::leaf::{tdg, tdh};
use abi::{Operand, Regs, Status};

use super::fake::PAGE;
use super::host::{BUFFER, Host, Shape};
use crate::machine::{Exception, Machine, Outcome, TdExit};

const SHARED: u64 = 1 << 47;
/// Pages of the VMM's for a shared EPT.
const TABLES: u64 = 0x4_0000;
const SUPPRESS_VE: u64 = 1 << 63;
const WRITE_BACK: u64 = 6 << 3;
/// The shared GPA that [`map`] maps.
const MAPPED: u64 = SHARED | 0x5000;
/// #VE on pending pages.
const PENDING_VE: Shape = Shape { attributes: 0, config_flags: 6, five_levels: false };

/// Maps [`MAPPED`] by `leaf`; the lowest table has the rights `rights`.
fn map(host: &mut Host, rights: u64, leaf: u64) {
    for level in 0..3 {
        let table = TABLES + level * PAGE;
        let index = if level == 0 { 256 } else { 0 };
        let rights = if level == 2 { rights } else { 7 };
        host.m.vmm_write(table + index * 8, &((table + PAGE) | rights).to_le_bytes());
    }
    host.m.vmm_write(TABLES + 3 * PAGE + 5 * 8, &leaf.to_le_bytes());
    let tdvpr = host.tdvpr;
    host.must(tdh::VP_WR, [tdvpr, vp::SHARED_EPTP.0, TABLES, u64::MAX]);
}

/// TDG.MR.REPORT with the report at `report` and the data at `data`.
fn report(host: &mut Host, report: u64, data: u64) -> Outcome {
    host.tdcall(tdg::MR_REPORT, |regs| (regs.rcx, regs.rdx, regs.r8) = (report, data, 0))
}

/// (reason, qualification, extended qualification, GPA) of a TD exit.
fn exit(outcome: Outcome) -> (u32, u64, u64, u64) {
    match outcome {
        Outcome::Exit(TdExit::Async { class: 0, reason, qualification, extended, gpa, .. }) => {
            (reason, qualification, extended, gpa)
        }
        other => panic!("{other:?}"),
    }
}

/// RCX, RDX, R8, R9, R10 of VEINFO.GET.
fn ve_info(host: &mut Host) -> [u64; 5] {
    let Regs { rcx, rdx, r8, r9, r10, .. } = host.done(tdg::VP_VEINFO_GET, |_| ());
    [rcx, rdx, r8, r9, r10]
}

#[test]
fn shared_memory_is_read_and_written_as_the_vmm_maps_it() {
    let mut host = Host::runnable(Shape::default());
    map(&mut host, 7, BUFFER | 7 | WRITE_BACK);
    host.m.vmm_write(BUFFER + 0x40, &[0xAB; 64]);
    assert_eq!(report(&mut host, MAPPED | 0x400, MAPPED | 0x40), Outcome::Done);
    assert_eq!(Status(host.gprs().rax), Status::SUCCESS);
    assert_eq!(host.m.vmm_read_u64(BUFFER + 0x400) & 0xFF, 0x81, "TYPE");
    assert_eq!(host.m.vmm_read_u64(BUFFER + 0x400 + 128), u64::from_le_bytes([0xAB; 8]));
}

#[test]
fn a_shared_violation_is_ve_or_an_exit_as_the_entry_says() {
    let mut host = Host::runnable(Shape::default());
    // A missing page: read, then read and write.
    map(&mut host, 7, 0);
    assert_eq!(report(&mut host, 0, MAPPED), Outcome::Inject(Exception::Ve));
    assert_eq!(ve_info(&mut host), [48, 1, 0, MAPPED, 4]);
    assert_eq!(report(&mut host, MAPPED | 0x800, 0), Outcome::Inject(Exception::Ve));
    assert_eq!(ve_info(&mut host), [48, 3, 0, MAPPED | 0x800, 4]);
    map(&mut host, 7, SUPPRESS_VE);
    assert_eq!(exit(report(&mut host, 0, MAPPED)), (48, 1, 0, MAPPED));
    // Read-only: only the write is missing, and the rights of the walk are told.
    map(&mut host, 7, BUFFER | 1 | WRITE_BACK);
    assert_eq!(report(&mut host, MAPPED, 0), Outcome::Inject(Exception::Ve));
    assert_eq!(ve_info(&mut host), [48, 2 | 1 << 3, 0, MAPPED, 4]);
    map(&mut host, 7, BUFFER | 1 | WRITE_BACK | SUPPRESS_VE);
    assert_eq!(exit(report(&mut host, MAPPED, 0)), (48, 2 | 1 << 3, 0, MAPPED));
    // A table that forbids the write exits, whatever its page says.
    map(&mut host, 5, BUFFER | 7 | WRITE_BACK);
    assert_eq!(exit(report(&mut host, MAPPED, 0)), (48, 2 | 5 << 3, 0, MAPPED));
    // Entries that no CPU takes: write without read, a reserved memory type.
    for leaf in [BUFFER | 2 | WRITE_BACK, BUFFER | 7 | 2 << 3] {
        map(&mut host, 7, leaf);
        assert_eq!(exit(report(&mut host, 0, MAPPED)), (49, 0, 0, MAPPED), "{leaf:#x}");
    }
}

#[test]
fn a_shared_entry_to_memory_of_a_td_is_misconfigured() {
    let mut host = Host::runnable(Shape::default());
    let tdr = host.tdr;
    map(&mut host, 7, tdr | 7 | WRITE_BACK);
    let before = host.m.read_u64(tdr);
    assert_eq!(exit(report(&mut host, MAPPED, 0)), (49, 0, 0, MAPPED));
    assert_eq!(host.m.read_u64(tdr), before);
}

#[test]
fn a_pending_operand_is_ve_or_an_exit_of_type_6() {
    for (shape, is_ve) in [(PENDING_VE, true), (Shape::default(), false)] {
        let mut host = Host::runnable(shape);
        let (tdr, page) = (host.tdr, host.fresh_page());
        host.must(tdh::MEM_PAGE_AUG, [0x1000, tdr, page, 0]);
        let write = report(&mut host, 0x1400, 0);
        if is_ve {
            assert_eq!(write, Outcome::Inject(Exception::Ve));
            let v = host.vcpu();
            let again = report(&mut host, 0x1400, 0);
            assert_eq!(again, Outcome::Inject(Exception::Df), "VE_INFO is not fetched");
            assert_eq!(ve_info(&mut host), [48, 3, 0, 0x1400, 4]);
            assert_eq!(host.module.counts(&host.m, v.tdr).ve(48), 1);
        } else {
            assert_eq!(exit(write), (48, 3, 6, 0x1400));
        }
        assert_eq!(exit(report(&mut host, 0x2000, 0)), (48, 3, 0, 0x2000), "no page");
        host.must(tdh::MEM_RANGE_BLOCK, [0x1000, tdr, 0, 0]);
        assert_eq!(exit(report(&mut host, 0, 0x1040)), (48, 1, 0, 0x1040), "blocked");
    }
}

#[test]
fn an_unfinished_call_changes_no_register() {
    let mut host = Host::runnable(PENDING_VE);
    let before =
        Regs { rax: tdg::MR_REPORT, rcx: 0x8000, rdx: 0, r8: 0, r9: 77, ..Regs::default() };
    let call = host.tdcall(tdg::MR_REPORT, |regs| *regs = before);
    assert!(matches!(call, Outcome::Exit(_)), "{call:?}");
    assert_eq!(host.gprs(), before);
}

/// Rows: (leaf, register that holds the GPA, its operand id).
const PRIVATE_ONLY: [(u64, Operand); 4] = [
    (tdg::MR_RTMR_EXTEND, Operand::Rcx),
    (tdg::MR_VERIFYREPORT, Operand::Rcx),
    (tdg::SYS_RDALL, Operand::Rdx),
    (tdg::VP_ENTER, Operand::Rdx),
];

#[test]
fn operands_that_must_be_private_are_refused_outside_the_private_half() {
    let mut host = Host::runnable(Shape::default());
    map(&mut host, 7, BUFFER | 7 | WRITE_BACK);
    for (leaf, operand) in PRIVATE_ONLY {
        for gpa in [MAPPED, 1 << 48, 1 << 51, 1 << 52, 1 << 63] {
            let regs = host.done(leaf, |regs| {
                let in_rcx = operand == Operand::Rcx;
                (regs.rcx, regs.rdx) = if in_rcx { (gpa, 0) } else { (0, gpa) };
            });
            let refused = Status::OPERAND_INVALID.with_operand(operand);
            assert_eq!(Status(regs.rax), refused, "leaf {leaf}, {gpa:#x}");
        }
    }
    for gpa in [1 << 48, 1 << 52, SHARED | 1 << 50] {
        assert_eq!(report(&mut host, gpa, 0), Outcome::Done);
        let refused = Status::OPERAND_INVALID.with_operand(Operand::Rcx);
        assert_eq!(Status(host.gprs().rax), refused);
    }
}

#[test]
fn with_52_bits_the_shared_bit_is_bit_51() {
    let shape = Shape { five_levels: true, config_flags: 5, ..Shape::default() };
    let mut host = Host::runnable(shape);
    let regs = host.done(tdg::MR_VERIFYREPORT, |regs| regs.rcx = 1 << 51);
    assert_eq!(Status(regs.rax), Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    let missing = host.tdcall(tdg::MR_VERIFYREPORT, |regs| regs.rcx = 1 << 47);
    assert_eq!(exit(missing), (48, 1, 0, 1 << 47), "private");
}
