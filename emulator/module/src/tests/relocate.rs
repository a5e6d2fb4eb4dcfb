//! TDH.MEM.PAGE.RELOCATE. [ABI-H 3.8, 7.2]

use abi::leaf::tdh;
use abi::{Operand, Status};

use super::fake::PAGE;
use super::host::{BUFFER, GIB, Host, Shape};
use crate::machine::{Machine, Outcome};

const GPA: u64 = 0x5000;

fn rcx(status: Status) -> Status {
    status.with_operand(Operand::Rcx)
}

fn r8(status: Status) -> Status {
    status.with_operand(Operand::R8)
}

fn relocate(host: &mut Host, operand: u64, tdr: u64, page: u64) -> (Status, u64, u64) {
    let regs = host.call(tdh::MEM_PAGE_RELOCATE, |r| (r.rcx, r.rdx, r.r8) = (operand, tdr, page));
    (Status(regs.rax), regs.rcx, regs.rdx)
}

#[test]
fn relocate_checks_in_the_order_of_the_reference() {
    let mut host = Host::runnable(Shape::default());
    let (tdr, old, new) = (host.tdr, host.fresh_page(), host.fresh_page());
    host.must(tdh::MEM_PAGE_AUG, [GPA, tdr, old, 0]);
    let plain = |status| (status, 0, 0);
    let not_td = Status::PAGE_METADATA_INCORRECT.with_operand(Operand::Rdx);
    assert_eq!(relocate(&mut host, GPA, new, new), plain(not_td));
    for operand in [GPA | 1, 1, GPA | 8, 1 << 47, 1 << 52] {
        let bad = rcx(Status::OPERAND_INVALID);
        assert_eq!(relocate(&mut host, operand, tdr, new), plain(bad), "{operand:#x}");
    }
    let no_table = relocate(&mut host, GIB, tdr, new);
    assert_eq!(no_table, (rcx(Status::EPT_WALK_FAILED), 1 << 63, 2));
    let free = relocate(&mut host, GPA + PAGE, tdr, new);
    assert_eq!(free, (rcx(Status::EPT_ENTRY_STATE_INCORRECT), 1 << 63, 0));
    // The same page is found before tracking is, whatever the bits above an address.
    let same = plain(r8(Status::OPERAND_INVALID));
    assert_eq!(relocate(&mut host, GPA, tdr, old), same);
    assert_eq!(relocate(&mut host, GPA, tdr, old | 1 << 60), same);
    let open = (rcx(Status::GPA_RANGE_NOT_BLOCKED), old | 1 << 63 | 0xF0, 2 << 8);
    assert_eq!(relocate(&mut host, GPA, tdr, new), open);
    host.must(tdh::MEM_RANGE_BLOCK, [GPA, tdr, 0, 0]);
    let untracked = plain(rcx(Status::TLB_TRACKING_NOT_DONE));
    assert_eq!(relocate(&mut host, GPA, tdr, new), untracked);
    host.must(tdh::MEM_TRACK, [tdr, 0, 0, 0]);
    assert_eq!(relocate(&mut host, GPA, tdr, new + 8), plain(r8(Status::OPERAND_INVALID)));
    assert_eq!(relocate(&mut host, GPA, tdr, GIB), plain(r8(Status::OPERAND_ADDR_RANGE_ERROR)));
    assert_eq!(relocate(&mut host, GPA, tdr, tdr), plain(r8(Status::PAGE_METADATA_INCORRECT)));
    host.assert_ownership();
    assert_eq!(relocate(&mut host, GPA, tdr, new), (Status::SUCCESS, old, 0));
    host.assert_ownership();
    let mut host = Host::with_tdcs();
    let tdr = host.tdr;
    assert_eq!(relocate(&mut host, GPA, tdr, 0), plain(Status::OP_STATE_INCORRECT));
}

#[test]
fn a_mapped_page_moves_with_its_content_and_is_not_blocked_any_more() {
    let mut host = Host::built(Shape::default());
    let (tdr, old, new) = (host.tdr, host.fresh_page(), host.fresh_page());
    host.m.vmm_write(BUFFER, &[0x5A; PAGE as usize]);
    host.must(tdh::MEM_PAGE_ADD, [GPA, tdr, old, BUFFER]);
    // Before MR.FINALIZE neither block nor track is asked for, but block is allowed.
    host.must(tdh::MEM_RANGE_BLOCK, [GPA, tdr, 0, 0]);
    let flushes = host.m.flushes;
    assert_eq!(relocate(&mut host, GPA, tdr, new), (Status::SUCCESS, old, 0));
    assert!(host.m.flushes > flushes, "translations to the old place are dropped");
    let read = host.must(tdh::MEM_SEPT_RD, [GPA, tdr, 0, 0]);
    assert_eq!((read.rcx, read.rdx), (new | 1 << 63 | 0xF7, 4 << 8));
    assert_eq!(host.m.read_u64(new + 0xFF8), 0x5A5A_5A5A_5A5A_5A5A);
    assert_eq!(host.m.vmm_read_u64(old), 0, "and leaves nothing of the TD's");
    assert_eq!(relocate(&mut host, GPA, tdr, old), (Status::SUCCESS, new, 0));
    host.assert_ownership();
}

#[test]
fn a_pending_page_moves_without_content() {
    let mut host = Host::runnable(Shape::default());
    let (tdr, old, new) = (host.tdr, host.fresh_page(), host.fresh_page());
    host.m.vmm_write(old, &[1; 8]);
    host.m.vmm_write(new, &[2; 8]);
    host.must(tdh::MEM_PAGE_AUG, [GPA, tdr, old, 0]);
    host.must(tdh::MEM_RANGE_BLOCK, [GPA, tdr, 0, 0]);
    host.must(tdh::MEM_TRACK, [tdr, 0, 0, 0]);
    assert_eq!(relocate(&mut host, GPA, tdr, new), (Status::SUCCESS, old, 0));
    assert_eq!(host.m.read_u64(new), 0x0202_0202_0202_0202);
    let read = host.must(tdh::MEM_SEPT_RD, [GPA, tdr, 0, 0]);
    assert_eq!((read.rcx, read.rdx), (new | 1 << 63 | 0xF0, 2 << 8));
    assert_eq!(host.accept(GPA), Outcome::Done);
    assert_eq!(host.m.read_u64(new), 0);
}
