//! TDH.MEM.RD, TDH.MEM.WR and the debug part of TDH.MEM.SEPT.RD. [ABI-H 3.8]

use abi::leaf::tdh;
use abi::{Operand, Regs, Status};

use super::host::{BUFFER, GIB, Host, Shape, ZEROS};
use crate::machine::{Machine, Outcome};

const DEBUG: Shape = Shape { attributes: 1 << 28 | 1, config_flags: 4, five_levels: false };

fn rcx(status: Status) -> Status {
    status.with_operand(Operand::Rcx)
}

fn access(host: &mut Host, leaf: u64, gpa: u64, data: u64) -> Regs {
    let tdr = host.tdr;
    host.call(leaf, |r| (r.rcx, r.rdx, r.r8, r.r9) = (gpa, tdr, data, 9))
}

#[test]
fn each_check_of_rd_and_wr_has_its_status_and_clears_the_outputs() {
    let mut host = Host::runnable(DEBUG);
    let (tdr, page) = (host.tdr, host.fresh_page());
    host.must(tdh::MEM_PAGE_AUG, [0x1000, tdr, page, 0]);
    let pending = page | 1 << 63 | 0xF0;
    let absent = rcx(Status::EPT_ENTRY_NOT_PRESENT);
    let bad = rcx(Status::OPERAND_INVALID);
    for leaf in [tdh::MEM_RD, tdh::MEM_WR] {
        let mut row = |gpa, status, rcx, rdx| {
            let regs = access(&mut host, leaf, gpa, 0x77);
            let found = (Status(regs.rax), regs.rcx, regs.rdx, regs.r8, regs.r9);
            assert_eq!(found, (status, rcx, rdx, 0, 9), "leaf {leaf}, GPA {gpa:#x}");
        };
        row(4, bad, 0, 0);
        row(1 << 47, bad, 0, 0);
        row(1 << 52, bad, 0, 0);
        row(GIB, absent, 1 << 63, 2);
        row(0x2008, absent, 1 << 63, 0);
        row(0x1008, absent, pending, 2 << 8);
        let mut other = host.clone();
        other.tdr = page;
        let regs = access(&mut other, leaf, 0, 0x77);
        let not_td = Status::PAGE_METADATA_INCORRECT.with_operand(Operand::Rdx);
        assert_eq!((Status(regs.rax), regs.rcx, regs.rdx, regs.r8), (not_td, 0, 0, 0));
        let mut early = Host::with_tdcs();
        let regs = access(&mut early, leaf, 0, 0x77);
        assert_eq!((Status(regs.rax), regs.r8), (Status::OP_STATE_INCORRECT, 0));
        let mut secret = Host::runnable(Shape::default());
        let regs = access(&mut secret, leaf, 4, 0x77);
        assert_eq!((Status(regs.rax), regs.r8), (Status::TD_NON_DEBUG, 0), "before RCX");
    }
    host.must(tdh::MEM_RANGE_BLOCK, [0, tdr, 0, 0]);
    let blocked = access(&mut host, tdh::MEM_RD, 0, 0);
    assert_eq!((Status(blocked.rax), blocked.rdx), (absent, 1 << 8));
}

#[test]
fn a_debug_td_is_read_and_written_by_quadwords() {
    let mut host = Host::built(DEBUG);
    let (tdr, page) = (host.tdr, host.fresh_page());
    host.m.vmm_write(BUFFER + 0x50, &0x1122_3344_5566_7788_u64.to_le_bytes());
    host.must(tdh::MEM_PAGE_ADD, [0x3000, tdr, page, BUFFER]);
    let read = access(&mut host, tdh::MEM_RD, 0x3050, 0xFFFF);
    assert_eq!((read.rax, read.rcx, read.rdx, read.r8), (0, 0, 0, 0x1122_3344_5566_7788));
    let written = access(&mut host, tdh::MEM_WR, 0x3050, 0xAB);
    assert_eq!((written.rax, written.rcx, written.rdx), (0, 0, 0));
    assert_eq!(written.r8, 0x1122_3344_5566_7788, "what was there before");
    assert_eq!(host.m.read_u64(page + 0x50), 0xAB);
    assert_eq!(host.m.read_u64(page + 0x58), 0);
    // In a large page the offset is that of the large page.
    let (first, large) = (host.fresh_page(), host.fresh_large_page());
    host.must(tdh::MEM_PAGE_AUG, [0x20_0001, tdr, large, 0]);
    host.must(tdh::MEM_PAGE_ADD, [0, tdr, first, ZEROS]);
    host.must(tdh::MR_FINALIZE, [tdr, 0, 0, 0]);
    assert_eq!(host.accept(0x20_0001), Outcome::Done);
    access(&mut host, tdh::MEM_WR, 0x31_2348, 0xCD);
    assert_eq!(host.m.read_u64(large + 0x11_2348), 0xCD);
}

#[test]
fn attributes_of_nested_guests_are_the_debugger_s_and_empty() {
    let read = |mut host: Host| {
        let tdr = host.tdr;
        host.call(tdh::MEM_SEPT_RD, |r| (r.rcx, r.rdx, r.r8) = (0, tdr | 1, 8))
    };
    let regs = read(Host::runnable(DEBUG));
    assert_eq!((regs.rax, regs.rdx, regs.r8), (0, 4 << 8, 0));
    let regs = read(Host::runnable(Shape::default()));
    let refused = Status::OPERAND_INVALID.with_operand(Operand::Rdx);
    assert_eq!((Status(regs.rax), regs.rcx, regs.rdx, regs.r8), (refused, 0, 0, 8));
}
