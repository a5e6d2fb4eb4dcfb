//! Leaves for nested VMs in a TD that has none: ATTR.RD and .WR, VP.ENTER, VP.INVEPT,
//! VP.INVVPID. [ABI-G 2.13, 2.14]

use abi::leaf::{tdg, tdh};
use abi::{Operand, Regs, Status};

use super::fake::PAGE;
use super::host::{Host, Shape};
use crate::machine::{Outcome, TdExit};

const MIB2: u64 = PAGE << 9;
const MIB4: u64 = 2 * MIB2;
const PENDING: u64 = 1 << 62;
const SHARED: u64 = 1 << 47;

fn bad(operand: Operand) -> Status {
    Status::OPERAND_INVALID.with_operand(operand)
}

/// Pages: 0 mapped, 0x1000 pending, 0x3000 blocked, 2 MiB mapped, 4 MiB pending.
fn host() -> Host {
    let mut host = Host::runnable(Shape::default());
    let tdr = host.tdr;
    for gpa in [0x1000, 0x3000] {
        let page = host.fresh_page();
        host.must(tdh::MEM_PAGE_AUG, [gpa, tdr, page, 0]);
    }
    for gpa in [MIB2, MIB4] {
        let page = host.fresh_large_page();
        host.must(tdh::MEM_PAGE_AUG, [gpa | 1, tdr, page, 0]);
    }
    assert_eq!(host.accept(MIB2 | 1), Outcome::Done);
    host.must(tdh::MEM_RANGE_BLOCK, [0x3000, tdr, 0, 0]);
    host
}

/// (qualification, extended qualification, GPA) of an EPT violation exit.
fn exit(outcome: Outcome) -> (u64, u64, u64) {
    match outcome {
        Outcome::Exit(TdExit::Async {
            class: 0, reason: 48, qualification, extended, gpa, ..
        }) => (qualification, extended, gpa),
        other => panic!("{other:?}"),
    }
}

#[test]
fn attr_rd_tells_how_a_page_is_mapped() {
    let mut host = host();
    let rows = [
        (0x123, 0),
        (0x1FFF, 0x1000 | PENDING),
        (MIB2 + 0x12345, MIB2 | 1),
        (MIB4 + 0x1_0000, MIB4 | 1 | PENDING),
    ];
    for (gpa, mapping) in rows {
        let regs = host.done(tdg::MEM_PAGE_ATTR_RD, |regs| (regs.rcx, regs.rdx) = (gpa, 7));
        assert_eq!((regs.rax, regs.rcx, regs.rdx), (0, mapping, 0), "{gpa:#x}");
    }
    for gpa in [SHARED, 1 << 48, 1 << 63] {
        let regs = host.done(tdg::MEM_PAGE_ATTR_RD, |regs| (regs.rcx, regs.rdx) = (gpa, 7));
        assert_eq!((Status(regs.rax), regs.rcx, regs.rdx), (bad(Operand::Rcx), 0, 0));
    }
    for gpa in [0x3123, 0x5000, 1 << 30] {
        let before = Regs { rcx: gpa, rdx: 7, ..host.gprs() };
        let outcome = host.tdcall(tdg::MEM_PAGE_ATTR_RD, |regs| *regs = before);
        assert_eq!(exit(outcome), (0, 0, gpa), "not a page of the guest");
        assert_eq!(host.gprs(), Regs { rax: tdg::MEM_PAGE_ATTR_RD, ..before });
    }
}

#[test]
fn attr_wr_without_attributes_tells_how_a_page_is_mapped() {
    let mut host = host();
    let mut call = |rcx, rdx, r8| {
        let regs = host.done(tdg::MEM_PAGE_ATTR_WR, |regs| {
            (regs.rcx, regs.rdx, regs.r8) = (rcx, rdx, r8);
        });
        (Status(regs.rax), regs.rcx, regs.rdx)
    };
    assert_eq!(call(0, 0, 0), (Status::SUCCESS, 0, 0));
    assert_eq!(call(0x1000, 0, 0), (Status::SUCCESS, 0x1000 | PENDING, 0));
    assert_eq!(call(MIB2 | 1, 0, 0), (Status::SUCCESS, MIB2 | 1, 0));
    // Mapped by smaller pages.
    assert_eq!(call(1, 0, 0), (Status(0xC000_0B0B_0000_0001), 0, 0));
    assert_eq!(call(2, 0, 0), (Status(0xC000_0B0B_0000_0002), 0, 0));
    // VM by VM, RDX before R8, and both before RCX.
    let rows = [
        (1 << 63, 1, 0, Operand::Rdx),
        (1 << 63, 0, 1, Operand::R8),
        (1 << 63, 1 << 16, 1, Operand::R8),
        (1 << 63, 1 << 16, 1 << 16, Operand::Rdx),
        (1 << 63, 1 << 48, 1 << 32, Operand::R8),
        (1 << 63, 1 << 63, 0, Operand::Rdx),
        (1 << 63, 0, 0, Operand::Rcx),
        (8, 0, 0, Operand::Rcx),
        (3, 0, 0, Operand::Rcx),
        (0x1001, 0, 0, Operand::Rcx),
        (SHARED, 0, 0, Operand::Rcx),
        (1 << 48, 0, 0, Operand::Rcx),
    ];
    for (rcx, rdx, r8, operand) in rows {
        assert_eq!(call(rcx, rdx, r8), (bad(operand), 0, 0), "{rcx:#x} {rdx:#x} {r8:#x}");
    }
}

#[test]
fn attr_wr_exits_where_there_is_no_page_of_the_guest() {
    let mut host = host();
    // Requested level, level found, state, leaf; type 5.
    let info = |requested: u64, found: u64, state: u64, leaf: u64| {
        5 | (requested | found << 3 | state << 6 | leaf << 14) << 32
    };
    let rows = [
        (0x3000, 2, info(0, 0, 3, 1), 0x3000),
        (0x5000, 2, info(0, 0, 0, 0), 0x5000),
        (1 << 30, 2, info(0, 2, 0, 0), 1 << 30),
        (MIB2 + 0x3000, 2 | 7 << 3, info(0, 1, 4, 1), MIB2 + 0x3000),
        (MIB4, 2, info(0, 1, 2, 1), MIB4),
    ];
    for (rcx, qualification, extended, gpa) in rows {
        let outcome = host.tdcall(tdg::MEM_PAGE_ATTR_WR, |regs| {
            (regs.rcx, regs.rdx, regs.r8) = (rcx, 0, 0);
        });
        assert_eq!(exit(outcome), (qualification, extended, gpa), "{rcx:#x}");
        assert_eq!(host.gprs().rcx, rcx);
    }
}

#[test]
fn there_is_no_nested_vm_to_enter_or_to_forget() {
    let mut host = Host::runnable(Shape::default());
    let mut status =
        |leaf, rcx, rdx| Status(host.done(leaf, |regs| (regs.rcx, regs.rdx) = (rcx, rdx)).rax);
    for vm in 0..4 {
        assert_eq!(status(tdg::VP_ENTER, vm << 52, 0), bad(Operand::Rcx));
        assert_eq!(status(tdg::VP_ENTER, vm << 52, 0x80), bad(Operand::Rdx));
        assert_eq!(status(tdg::VP_ENTER, vm << 52, SHARED), bad(Operand::Rdx));
        // The state need not be mapped to get as far as the VM.
        assert_eq!(status(tdg::VP_ENTER, vm << 52, 0x9000), bad(Operand::Rcx));
        assert_eq!(status(tdg::VP_INVVPID, vm << 52, 0), bad(Operand::Rcx));
        assert_eq!(status(tdg::VP_INVVPID, vm << 52 | 1, 0), bad(Operand::Rcx));
    }
    assert_eq!(status(tdg::VP_INVEPT, 0, 0), Status::SUCCESS);
    for mask in [1, 2, 4, 8, 1 << 63] {
        assert_eq!(status(tdg::VP_INVEPT, mask, 0), bad(Operand::Rcx), "{mask:#x}");
    }
}
