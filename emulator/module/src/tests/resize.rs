//! TDH.MEM.PAGE.DEMOTE and PROMOTE: each check, and what a large page leaves behind.
//! [ABI-H 3.8, 7.2, 7.4]

use abi::leaf::{tdh, versioned};
use abi::{Operand, Regs, Status};
use zerocopy::FromZeros;

use super::fake::PAGE;
use super::host::{GIB, Host, Shape, ZEROS};
use crate::machine::{Machine, Outcome};
use crate::pamt::PageType;
use crate::sept::Entry;

const MIB2: u64 = PAGE << 9;
const NULL: u64 = u64::MAX;
/// The 2 MiB at GPA 2 MiB, as an operand.
const TARGET: u64 = MIB2 | 1;

fn rcx(status: Status) -> Status {
    status.with_operand(Operand::Rcx)
}

fn r8(status: Status) -> Status {
    status.with_operand(Operand::R8)
}

/// A TD that may run, with a pending page of 2 MiB at [`TARGET`].
fn with_large_page() -> (Host, u64) {
    let mut host = Host::runnable(Shape::default());
    let (tdr, large) = (host.tdr, host.fresh_large_page());
    host.must(tdh::MEM_PAGE_AUG, [TARGET, tdr, large, 0]);
    (host, large)
}

fn block_and_track(host: &mut Host, operand: u64) {
    let tdr = host.tdr;
    host.must(tdh::MEM_RANGE_BLOCK, [operand, tdr, 0, 0]);
    host.must(tdh::MEM_TRACK, [tdr, 0, 0, 0]);
}

fn rdmd(host: &mut Host, page: u64) -> (u64, u64, u64, u64) {
    let regs = host.must(tdh::PHYMEM_PAGE_RDMD, [page, 0, 0, 0]);
    (regs.rcx, regs.rdx, regs.r8, regs.r9)
}

const REG: u64 = PageType::REG.0 as u64;
const EPT: u64 = PageType::EPT.0 as u64;

#[test]
fn demote_checks_in_the_order_of_the_reference() {
    let (mut host, large) = with_large_page();
    let (tdr, page) = (host.tdr, host.fresh_page());
    let bad = Status::OPERAND_INVALID;
    let rdx = |status: Status| status.with_operand(Operand::Rdx);
    let demote = |host: &mut Host, operand, tdr, page| {
        let regs = host.call(tdh::MEM_PAGE_DEMOTE, |r| (r.rcx, r.rdx, r.r8) = (operand, tdr, page));
        (Status(regs.rax), regs.rcx, regs.rdx)
    };
    let plain = |status| (status, 0, 0);
    assert_eq!(demote(&mut host, 0, tdr | 2, 0), plain(rdx(bad)));
    assert_eq!(demote(&mut host, 0, tdr | 1 << 52, 0), plain(rdx(bad)));
    assert_eq!(demote(&mut host, 0, page, 0), plain(rdx(Status::PAGE_METADATA_INCORRECT)));
    for operand in [MIB2, GIB | 3, MIB2 | 9, MIB2 + PAGE + 1, 1 << 47 | 1, 1 << 52 | 1] {
        assert_eq!(demote(&mut host, operand, tdr, page), plain(rcx(bad)), "{operand:#x}");
    }
    let no_table = demote(&mut host, GIB | 1, tdr, page);
    assert_eq!(no_table, (rcx(Status::EPT_WALK_FAILED), 1 << 63, 2));
    let not_leaf = demote(&mut host, 1, tdr, page);
    assert_eq!(not_leaf, (rcx(Status::EPT_ENTRY_STATE_INCORRECT), 7, 1 | 0x84 << 8));
    let free = demote(&mut host, (2 * MIB2) | 1, tdr, page);
    assert_eq!(free, (rcx(Status::EPT_ENTRY_STATE_INCORRECT), 1 << 63, 1));
    // Bits 6:3: write-back and ignore-PAT; bit 7: a leaf.
    let pending = large | 1 << 63 | 0xF0;
    let open = demote(&mut host, TARGET, tdr, page);
    assert_eq!(open, (rcx(Status::GPA_RANGE_NOT_BLOCKED), pending, 1 | 2 << 8));
    host.must(tdh::MEM_RANGE_BLOCK, [TARGET, tdr, 0, 0]);
    assert_eq!(demote(&mut host, TARGET, tdr, page), plain(rcx(Status::TLB_TRACKING_NOT_DONE)));
    host.must(tdh::MEM_TRACK, [tdr, 0, 0, 0]);
    assert_eq!(demote(&mut host, TARGET, tdr, page + 1), plain(r8(bad)));
    assert_eq!(demote(&mut host, TARGET, tdr, page | 1 << 63), plain(r8(bad)), "no flag there");
    let range = r8(Status::OPERAND_ADDR_RANGE_ERROR);
    assert_eq!(demote(&mut host, TARGET, tdr, GIB), plain(range));
    let used = r8(Status::PAGE_METADATA_INCORRECT);
    assert_eq!(demote(&mut host, TARGET, tdr, tdr), plain(used));
    assert_eq!(demote(&mut host, TARGET, tdr, large + PAGE), plain(used), "the page itself");
    host.assert_ownership();
    assert_eq!(demote(&mut host, TARGET, tdr | 1, page), plain(Status::SUCCESS));
    host.assert_ownership();
    let uninitialized = Host::with_tdcs();
    let tdr = uninitialized.tdr;
    let early = demote(&mut { uninitialized }, TARGET, tdr, 0);
    assert_eq!(early, plain(Status::OP_STATE_INCORRECT));
}

#[test]
fn a_demoted_page_is_512_pages_in_the_state_before_the_block() {
    let (mut host, large) = with_large_page();
    let (tdr, page) = (host.tdr, host.fresh_page());
    host.m.vmm_write(page, &[0xEE; 64]);
    let chldcnt =
        |host: &mut Host| host.must(tdh::MNG_RD, [tdr, abi::field::td::CHLDCNT.0, 0, 0]).r8;
    let before = chldcnt(&mut host);
    block_and_track(&mut host, TARGET);
    let mut regs =
        Regs { rax: tdh::MEM_PAGE_DEMOTE, rcx: TARGET, rdx: tdr, r8: page, ..Regs::default() };
    (regs.r9, regs.r10, regs.r11, regs.r12) = (9, NULL, 11, 12);
    let expected = Regs { rax: 0, rcx: 0, rdx: 0, ..regs };
    host.seamcall(&mut regs);
    assert_eq!(regs, expected, "R8-R11 come back as they were");
    assert_eq!(chldcnt(&mut host), before + 1);
    assert_eq!(rdmd(&mut host, large + 5 * PAGE), (REG, tdr, 0, 0));
    assert_eq!(rdmd(&mut host, page), (EPT, tdr, 0, 0));
    for index in [0, 5, 511] {
        let gpa = MIB2 + index * PAGE;
        let read = host.must(tdh::MEM_SEPT_RD, [gpa, tdr, 0, 0]);
        assert_eq!((read.rcx, read.rdx), ((large + index * PAGE) | 1 << 63 | 0xF0, 2 << 8));
    }
    assert_eq!(host.accept(MIB2 + 5 * PAGE), Outcome::Done);
    let removed = MIB2 + 7 * PAGE;
    block_and_track(&mut host, removed);
    let freed = host.must(tdh::MEM_PAGE_REMOVE, [removed, tdr, 0, 0]).rcx;
    assert_eq!(freed, large + 7 * PAGE, "a part of a page that was large");
    host.assert_ownership();
}

#[test]
fn a_mapped_page_is_demoted_to_mapped_pages_and_keeps_its_content() {
    let (mut host, large) = with_large_page();
    let (tdr, page) = (host.tdr, host.fresh_page());
    assert_eq!(host.accept(TARGET), Outcome::Done);
    host.m.write_u64(large + 3 * PAGE, 0x1234);
    block_and_track(&mut host, TARGET);
    host.must(tdh::MEM_PAGE_DEMOTE, [TARGET, tdr, page, 0]);
    let read = host.must(tdh::MEM_SEPT_RD, [MIB2 + 3 * PAGE, tdr, 0, 0]);
    assert_eq!((read.rcx, read.rdx), ((large + 3 * PAGE) | 1 << 63 | 0xF7, 4 << 8));
    assert_eq!(host.m.read_u64(large + 3 * PAGE), 0x1234);
}

#[test]
fn promote_checks_in_the_order_of_the_reference() {
    let (mut host, large) = with_large_page();
    let (tdr, table) = (host.tdr, host.fresh_page());
    let bad = Status::OPERAND_INVALID;
    let promote = |host: &mut Host, operand, tdr| {
        let regs = host.call(tdh::MEM_PAGE_PROMOTE, |r| (r.rcx, r.rdx) = (operand, tdr));
        (Status(regs.rax), regs.rcx, regs.rdx)
    };
    let plain = |status| (status, 0, 0);
    let not_td = Status::PAGE_METADATA_INCORRECT.with_operand(Operand::Rdx);
    assert_eq!(promote(&mut host, TARGET, table), plain(not_td));
    for operand in [MIB2, GIB | 3, MIB2 | 9, MIB2 + PAGE + 1, 1 << 47 | 1, 1 << 52 | 1] {
        assert_eq!(promote(&mut host, operand, tdr), plain(rcx(bad)), "{operand:#x}");
    }
    let no_table = promote(&mut host, GIB | 1, tdr);
    assert_eq!(no_table, (rcx(Status::EPT_WALK_FAILED), 1 << 63, 2));
    let leaf = (rcx(Status::EPT_ENTRY_STATE_INCORRECT), large | 1 << 63 | 0xF0, 1 | 2 << 8);
    assert_eq!(promote(&mut host, TARGET, tdr), leaf);
    block_and_track(&mut host, TARGET);
    host.must(tdh::MEM_PAGE_DEMOTE, [TARGET, tdr, table, 0]);

    let open = promote(&mut host, TARGET, tdr);
    assert_eq!(open, (rcx(Status::GPA_RANGE_NOT_BLOCKED), 7, 1 | 0x84 << 8));
    host.must(tdh::MEM_RANGE_BLOCK, [TARGET, tdr, 0, 0]);
    assert_eq!(promote(&mut host, TARGET, tdr), plain(rcx(Status::TLB_TRACKING_NOT_DONE)));
    host.must(tdh::MEM_TRACK, [tdr, 0, 0, 0]);
    assert_eq!(promote(&mut host, TARGET, tdr), (Status::SUCCESS, table, 0));
    let read = host.must(tdh::MEM_SEPT_RD, [TARGET, tdr, 0, 0]);
    assert_eq!((read.rcx, read.rdx), (large | 1 << 63 | 0xF0, 1 | 2 << 8), "not blocked any more");
    let (kind, owner, size, _) = rdmd(&mut host, large + PAGE);
    assert_eq!((kind, owner, size), (REG, tdr, 1));
    assert_eq!(host.accept(TARGET), Outcome::Done);
    assert_eq!(host.m.vmm_read_u64(table), 0, "the VMM has its page back, and nothing of the TD");
    host.assert_ownership();
}

/// A TD with a table at [`TARGET`] whose 512 pages are pending, before MR.FINALIZE.
fn with_small_pages(order: impl Fn(u64) -> u64, aligned: bool) -> (Host, u64) {
    let mut host = Host::built(Shape::default());
    let (tdr, table) = (host.tdr, host.fresh_page());
    let large = host.fresh_large_page() + if aligned { 0 } else { PAGE };
    host.must(tdh::MEM_SEPT_ADD, [TARGET, tdr, table, 0]);
    for index in 0..512 {
        let page = large + order(index) * PAGE;
        host.must(tdh::MEM_PAGE_AUG, [MIB2 + index * PAGE, tdr, page, 0]);
    }
    (host, large)
}

#[test]
fn promote_wants_512_alike_in_a_row() {
    let promote = |host: &mut Host| {
        let tdr = host.tdr;
        let regs = host.call(tdh::MEM_PAGE_PROMOTE, |r| (r.rcx, r.rdx) = (TARGET, tdr));
        (Status(regs.rax), regs.rcx, regs.rdx)
    };
    let refused = (rcx(Status::EPT_INVALID_PROMOTE_CONDITIONS), 7, 1 | 0x84 << 8);
    assert_eq!(promote(&mut with_small_pages(|index| index, false).0), refused, "not aligned");
    let swapped = |index| if index > 509 { 1021 - index } else { index };
    assert_eq!(promote(&mut with_small_pages(swapped, true).0), refused, "not in a row");

    let (host, large) = with_small_pages(|index| index, true);
    let tdr = host.tdr;
    for gone in [0, 511] {
        let mut host = host.clone();
        host.must(tdh::MEM_PAGE_REMOVE, [MIB2 + gone * PAGE, tdr, 0, 0]);
        assert_eq!(promote(&mut host), refused, "page {gone} is missing");
        host.must(tdh::MEM_PAGE_ADD, [MIB2 + gone * PAGE, tdr, large + gone * PAGE, ZEROS]);
        assert_eq!(promote(&mut host), refused, "page {gone} is mapped, others pending");
        host.must(tdh::MEM_PAGE_REMOVE, [MIB2 + gone * PAGE, tdr, 0, 0]);
        host.must(tdh::MEM_PAGE_AUG, [MIB2 + gone * PAGE, tdr, large + gone * PAGE, 0]);
        host.must(tdh::MEM_RANGE_BLOCK, [MIB2 + gone * PAGE, tdr, 0, 0]);
        assert_eq!(promote(&mut host), refused, "page {gone} is blocked");
        host.must(tdh::MEM_RANGE_UNBLOCK, [MIB2 + gone * PAGE, tdr, 0, 0]);
        // Before MR.FINALIZE neither block nor track is asked for.
        assert_eq!(promote(&mut host).0, Status::SUCCESS);
        host.assert_ownership();
    }
}

#[test]
fn promote_version_1_names_no_pages_of_nested_guests() {
    let (host, _) = with_small_pages(|index| index, true);
    let call = |version| {
        let mut host = host.clone();
        let tdr = host.tdr;
        host.call(versioned(tdh::MEM_PAGE_PROMOTE, version), |r| {
            (r.rcx, r.rdx, r.r8, r.r9, r.r10, r.r11) = (TARGET, tdr, 8, 9, 10, 11);
        })
    };
    let outputs = |regs: &Regs| (regs.r8, regs.r9, regs.r10, regs.r11);
    assert_eq!(outputs(&call(0)), (8, 9, 10, 11));
    assert_eq!(outputs(&call(1)), (8, NULL, NULL, NULL));
    let newer = call(2);
    assert_eq!(Status(newer.rax), Status::OPERAND_INVALID);
    assert_eq!((newer.rcx, newer.rdx, outputs(&newer)), (0, 0, (8, NULL, NULL, NULL)));
}

/// The only way to a page of 1 GiB, and back.
#[test]
fn a_gib_is_promoted_and_demoted() {
    let mut host = Host::runnable(Shape::default());
    let tdr = host.tdr;
    // A second TDMR, with its PAMT in the hole of the first.
    let mut region = abi::tdmr::TdmrInfo::new_zeroed();
    (region.base, region.size) = (GIB, GIB);
    (region.pamt_4k_base, region.pamt_4k_size) = (0x1000_0000, 0x40_0000);
    (region.pamt_2m_base, region.pamt_2m_size) = (0x1040_0000, 0x2000);
    (region.pamt_1g_base, region.pamt_1g_size) = (0x1040_2000, 0x1000);
    host.module.push_tdmr(&region);
    host.m.hide_from_vmm(0x1000_0000, 0x40_3000);
    for _ in 0..256 {
        host.must(tdh::SYS_TDMR_INIT, [GIB, 0, 0, 0]);
    }
    let (operand, table) = (GIB | 2, host.fresh_page());
    host.must(tdh::MEM_SEPT_ADD, [operand, tdr, table, 0]);
    for large in (GIB..2 * GIB).step_by(MIB2 as usize) {
        host.must(tdh::MEM_PAGE_AUG, [large | 1, tdr, large, 0]);
    }
    block_and_track(&mut host, operand);
    assert_eq!(host.must(tdh::MEM_PAGE_PROMOTE, [operand, tdr, 0, 0]).rcx, table);
    let (kind, owner, size, _) = rdmd(&mut host, GIB + MIB2 + PAGE);
    assert_eq!((kind, owner, size), (REG, tdr, 2));
    let read = host.must(tdh::MEM_SEPT_RD, [operand, tdr, 0, 0]);
    assert_eq!((read.rcx, read.rdx), (GIB | 1 << 63 | 0xF0, 2 | 2 << 8));

    block_and_track(&mut host, operand);
    host.must(tdh::MEM_PAGE_DEMOTE, [operand, tdr, table, 0]);
    let entry = Entry(host.m.read_u64(table + 511 * 8));
    assert_eq!(entry.page(), 2 * GIB - MIB2);
    let (kind, owner, size, _) = rdmd(&mut host, 2 * GIB - PAGE);
    assert_eq!((kind, owner, size), (REG, tdr, 1));
}
