//! The memory leaves: secure EPT, block and track, what is reported. [ABI-H 3.7, 3.8]

use abi::leaf::{tdh, versioned};
use abi::{Operand, Regs, Status};

use super::fake::PAGE;
use super::host::{BUFFER, Host, Shape, ZEROS};
use crate::machine::{Machine, Outcome, TdExit};
use crate::pamt::PageType;

const MIB2: u64 = PAGE << 9;
const NULL: u64 = u64::MAX;

fn rcx(status: Status) -> Status {
    status.with_operand(Operand::Rcx)
}

/// An external interrupt: the exit that kicks a vCPU out.
const KICK: TdExit = TdExit::Async {
    class: 0,
    reason: 1,
    qualification: 0,
    extended: 0,
    gpa: 0,
    interruption: 0x8000_0020,
};

#[test]
fn sept_pages_are_added_top_down_and_reported() {
    let mut host = Host::initialized(Shape::default());
    let (tdr, page) = (host.tdr, host.fresh_page());
    let early = host.call(tdh::MEM_SEPT_ADD, |r| (r.rcx, r.rdx, r.r8) = (2, tdr, page));
    assert_eq!(Status(early.rax), rcx(Status::EPT_WALK_FAILED));
    assert_eq!((early.rcx, early.rdx), (1 << 63, 3), "a free entry at level 3");
    host.must(tdh::MEM_SEPT_ADD, [3, tdr, page, 0]);
    let again = host.call(tdh::MEM_SEPT_ADD, |r| (r.rcx, r.rdx, r.r8) = (3, tdr, page));
    assert_eq!(Status(again.rax), rcx(Status::EPT_ENTRY_STATE_INCORRECT));
    assert_eq!((again.rcx, again.rdx), (7, 3 | 0x84 << 8), "the table's page is not shown");
    // Allowed to exist, the page is not used.
    host.must(tdh::MEM_SEPT_ADD, [3, tdr | 1, NULL - 1, 0]);
    let bad = Status::OPERAND_INVALID;
    assert_eq!(
        host.status(tdh::MEM_SEPT_ADD, [3, tdr | 2, page, 0]),
        bad.with_operand(Operand::Rdx)
    );
    assert_eq!(host.status(tdh::MEM_SEPT_ADD, [0, tdr, page, 0]), rcx(bad));
    assert_eq!(host.status(tdh::MEM_SEPT_ADD, [4, tdr, page, 0]), rcx(bad), "4 levels");
    assert_eq!(host.status(tdh::MEM_SEPT_ADD, [2, tdr, NULL, 0]), bad.with_operand(Operand::R8));
    let five = Shape { five_levels: true, config_flags: 5, ..Shape::default() };
    let mut host = Host::initialized(five);
    let (tdr, page) = (host.tdr, host.fresh_page());
    host.must(tdh::MEM_SEPT_ADD, [4, tdr, page, 0]);
    host.assert_ownership();
}

#[test]
fn sept_add_version_1_reports_what_was_not_used() {
    let mut host = Host::initialized(Shape::default());
    let (tdr, page) = (host.tdr, host.fresh_page());
    let leaf = versioned(tdh::MEM_SEPT_ADD, 1);
    let add = |host: &mut Host| {
        host.call(leaf, |r| {
            (r.rcx, r.rdx, r.r8) = (3, tdr | 1, page);
            (r.r9, r.r10, r.r11) = (NULL, NULL, NULL);
        })
    };
    let first = add(&mut host);
    assert_eq!((first.rax, first.r8), (0, NULL));
    let second = add(&mut host);
    assert_eq!((second.rax, second.r8), (0, page | 1 << 63));
    let nested = host.status(leaf, [2, tdr, NULL, 0]);
    assert_eq!(nested, rcx(Status::EPT_ENTRY_STATE_INCORRECT));
    let too_new = host.call(versioned(tdh::MEM_SEPT_ADD, 2), |r| (r.rcx, r.rdx) = (3, tdr));
    assert_eq!((Status(too_new.rax), too_new.rcx), (Status::OPERAND_INVALID, 0));
}

#[test]
fn page_add_copies_and_checks_the_source_first() {
    let mut host = Host::built(Shape::default());
    let (tdr, page) = (host.tdr, host.fresh_page());
    host.m.vmm_write(BUFFER, &[0x5A; PAGE as usize]);
    let bad = Status::OPERAND_INVALID;
    let add = |host: &mut Host, gpa, page, source| {
        host.status(tdh::MEM_PAGE_ADD, [gpa, tdr, page, source])
    };
    assert_eq!(add(&mut host, 0, tdr, BUFFER + 1), bad.with_operand(Operand::R9));
    assert_eq!(add(&mut host, 0, page, tdr), bad.with_operand(Operand::R9), "a TD's page");
    let private = page | 32 << 46;
    assert_eq!(add(&mut host, 0, page, private), bad.with_operand(Operand::R9));
    assert_eq!(
        add(&mut host, 0, tdr, BUFFER),
        Status::PAGE_METADATA_INCORRECT.with_operand(Operand::R8)
    );
    assert_eq!(add(&mut host, 1, page, BUFFER), rcx(bad));
    assert_eq!(add(&mut host, 1 << 47, page, BUFFER), rcx(bad), "a shared GPA");
    assert_eq!(add(&mut host, MIB2, page, BUFFER), rcx(Status::EPT_WALK_FAILED));
    // With a shared HKID: the same memory.
    assert_eq!(add(&mut host, 0x3000, page, BUFFER | 5 << 46), Status::SUCCESS);
    assert_eq!(host.m.read_u64(page + 0xFF8), 0x5A5A_5A5A_5A5A_5A5A);
    // In place: source and target are one page.
    let own = host.fresh_page();
    host.m.vmm_write(own, &[7; 8]);
    assert_eq!(add(&mut host, 0x4000, own, own), Status::SUCCESS);
    assert_eq!(host.m.read_u64(own), 0x0707_0707_0707_0707);
    let twice = host.call(tdh::MEM_PAGE_ADD, |r| (r.rcx, r.rdx, r.r9) = (0x4000, tdr, BUFFER));
    assert_eq!(Status(twice.rax), rcx(Status::EPT_ENTRY_STATE_INCORRECT));
    assert_eq!(twice.rcx, own | 1 << 63 | 0xF7, "R, W, X, write-back, IPAT, leaf");
    assert_eq!(twice.rdx, 4 << 8);
}

#[test]
fn mr_extend_measures_mapped_memory_only() {
    let mut host = Host::built(Shape::default());
    let (tdr, page) = (host.tdr, host.fresh_page());
    let extend = |host: &mut Host, gpa| host.status(tdh::MR_EXTEND, [gpa, tdr, 0, 0]);
    assert_eq!(extend(&mut host, 0x80), rcx(Status::OPERAND_INVALID));
    assert_eq!(extend(&mut host, MIB2), rcx(Status::EPT_ENTRY_NOT_PRESENT));
    assert_eq!(extend(&mut host, 0), rcx(Status::EPT_ENTRY_NOT_PRESENT));
    host.must(tdh::MEM_PAGE_ADD, [0, tdr, page, ZEROS]);
    host.must(tdh::MR_EXTEND, [0x100, tdr, 0, 0]);
    host.must(tdh::MR_FINALIZE, [tdr, 0, 0, 0]);
    let id = abi::field::td::MRTD.0;
    let mrtd = host.must(tdh::MNG_RD, [tdr, id, 0, 0]).r8;
    // The third vector of [ABI-H 6].
    assert_eq!(mrtd.to_le_bytes(), [0xAE, 0x71, 0xA1, 0x51, 0x59, 0x0D, 0x46, 0xAF]);
}

#[test]
fn aug_takes_a_whole_free_range_and_keeps_its_content() {
    let mut host = Host::runnable(Shape::default());
    let (tdr, large) = (host.tdr, host.fresh_large_page());
    host.m.vmm_write(large + PAGE, &[9; 8]);
    // The 2 MiB at GPA 0 are mapped by a table.
    let used = host.call(tdh::MEM_PAGE_AUG, |r| (r.rcx, r.rdx, r.r8) = (1, tdr, large));
    assert_eq!(Status(used.rax), rcx(Status::EPT_ENTRY_STATE_INCORRECT));
    let operand = MIB2 | 1;
    let aug = |host: &mut Host, page| host.status(tdh::MEM_PAGE_AUG, [operand, tdr, page, 0]);
    let r8 = |status: Status| status.with_operand(Operand::R8);
    assert_eq!(aug(&mut host, large + PAGE), r8(Status::OPERAND_INVALID));
    // One page of the range is in use.
    host.must(tdh::MEM_PAGE_AUG, [0x1000, tdr, large + 3 * PAGE, 0]);
    assert_eq!(aug(&mut host, large), r8(Status::PAGE_METADATA_INCORRECT));
    let large = large + MIB2;
    host.m.vmm_write(large + PAGE, &[9; 8]);
    assert_eq!(aug(&mut host, large), Status::SUCCESS);
    assert_eq!(host.m.read_u64(large + PAGE), 0x0909_0909_0909_0909);
    let inner = host.status(tdh::MEM_PAGE_AUG, [0x2000, tdr, large + PAGE, 0]);
    assert_eq!(inner, r8(Status::PAGE_METADATA_INCORRECT), "part of a large page");
    let whole = host.must(tdh::PHYMEM_PAGE_RDMD, [large + PAGE, 0, 0, 0]);
    assert_eq!((whole.rcx, whole.rdx, whole.r8), (3, tdr, 1));
    host.must(tdh::MEM_RANGE_BLOCK, [operand, tdr, 0, 0]);
    host.must(tdh::MEM_TRACK, [tdr, 0, 0, 0]);
    assert_eq!(host.must(tdh::MEM_PAGE_REMOVE, [operand, tdr, 0, 0]).rcx, large);
    host.assert_ownership();
}

#[test]
fn block_and_track_keep_a_page_from_leaving_under_a_running_vcpu() {
    let mut host = Host::runnable(Shape::default());
    let tdr = host.tdr;
    let remove = |host: &mut Host| host.status(tdh::MEM_PAGE_REMOVE, [0, tdr, 0, 0]);
    host.enter(Regs::default());
    let flushes = host.m.flushes;
    host.must(tdh::MEM_RANGE_BLOCK, [0, tdr, 0, 0]);
    assert!(host.m.flushes > flushes, "a blocked translation is dropped");
    assert_eq!(remove(&mut host), rcx(Status::TLB_TRACKING_NOT_DONE));
    host.must(tdh::MEM_TRACK, [tdr, 0, 0, 0]);
    assert_eq!(remove(&mut host), rcx(Status::TLB_TRACKING_NOT_DONE), "still inside");
    assert_eq!(host.status(tdh::MEM_TRACK, [tdr, 0, 0, 0]), Status::PREVIOUS_TLB_EPOCH_BUSY);
    let unblock = [0, tdr, 0, 0];
    let untracked = Status::TLB_TRACKING_NOT_DONE.with_operand(Operand::SeptTree);
    assert_eq!(host.status(tdh::MEM_RANGE_UNBLOCK, unblock), untracked);
    host.exit(KICK, Regs::default());
    host.must(tdh::MEM_RANGE_UNBLOCK, unblock);
    host.must(tdh::MEM_RANGE_BLOCK, [0, tdr, 0, 0]);
    host.must(tdh::MEM_TRACK, [tdr, 0, 0, 0]);
    let flushes = host.m.flushes;
    let removed = host.must(tdh::MEM_PAGE_REMOVE, [0, tdr, 0, 0]);
    assert!(host.m.flushes > flushes, "a removed translation is dropped");
    assert_eq!((removed.rdx, host.m.vmm_read_u64(removed.rcx)), (0, 0));
    host.assert_ownership();
}

#[test]
fn a_page_comes_back_without_the_td_s_data() {
    let mut host = Host::built(Shape::default());
    let (tdr, page) = (host.tdr, host.fresh_page());
    host.m.vmm_write(BUFFER, &[0x5E; PAGE as usize]);
    host.must(tdh::MEM_PAGE_ADD, [0, tdr, page, BUFFER]);
    host.must(tdh::MEM_PAGE_REMOVE, [0, tdr, 0, 0]);
    assert_eq!(host.m.vmm_read_u64(page + 8), 0);
}

#[test]
fn before_finalize_nothing_needs_block_or_track() {
    let mut host = Host::built(Shape::default());
    let (tdr, page) = (host.tdr, host.fresh_page());
    host.must(tdh::MEM_PAGE_ADD, [0, tdr, page, BUFFER]);
    let full = host.call(tdh::MEM_SEPT_REMOVE, |r| (r.rcx, r.rdx) = (1, tdr));
    assert_eq!(Status(full.rax), rcx(Status::EPT_PAGE_NOT_FREE));
    assert_eq!((full.rcx, full.rdx), (7, 1 | 0x84 << 8));
    assert_eq!(host.must(tdh::MEM_PAGE_REMOVE, [0, tdr, 0, 0]).rcx, page);
    let leaf = host.status(tdh::MEM_PAGE_REMOVE, [1, tdr, 0, 0]);
    assert_eq!(leaf, rcx(Status::EPT_ENTRY_STATE_INCORRECT), "a table is no page");
    for level in 1..=3 {
        let v1 = versioned(tdh::MEM_SEPT_REMOVE, 1);
        let regs = host.must(v1, [level, tdr, 0, 0]);
        assert_eq!((regs.r9, regs.r10, regs.r11), (NULL, NULL, NULL));
        let kind = host.must(tdh::PHYMEM_PAGE_RDMD, [regs.rcx, 0, 0, 0]).rcx;
        assert_eq!(kind, u64::from(PageType::NDA.0));
    }
    host.assert_ownership();
}

#[test]
fn a_blocked_table_ends_walks() {
    let mut host = Host::runnable(Shape::default());
    let tdr = host.tdr;
    host.must(tdh::MEM_RANGE_BLOCK, [1, tdr, 0, 0]);
    let below = host.call(tdh::MEM_RANGE_BLOCK, |r| (r.rcx, r.rdx) = (0, tdr));
    assert_eq!(Status(below.rax), rcx(Status::EPT_WALK_FAILED));
    assert_eq!((below.rcx, below.rdx), (0, 1 | 0x81 << 8));
    let read = host.must(tdh::MEM_SEPT_RD, [1, tdr, 0, 0]);
    assert_eq!((read.rcx, read.rdx), (0, 1 | 0x81 << 8));
    assert!(matches!(host.accept(0), Outcome::Exit(_)));
}

#[test]
fn rdmd_shows_the_epoch_of_a_blocked_page() {
    let mut host = Host::runnable(Shape::default());
    let tdr = host.tdr;
    host.must(tdh::MEM_TRACK, [tdr, 0, 0, 0]);
    let entry = host.must(tdh::MEM_SEPT_RD, [0, tdr, 0, 0]).rcx;
    let page = entry & 0x000F_FFFF_FFFF_F000;
    host.must(tdh::MEM_RANGE_BLOCK, [0, tdr, 0, 0]);
    let regs = host.must(tdh::PHYMEM_PAGE_RDMD, [page, 0, 0, 0]);
    assert_eq!((regs.rcx, regs.rdx, regs.r8, regs.r9), (3, tdr, 0, 2));
}

#[test]
fn wbinvd_strips_the_key_and_wants_a_free_page() {
    let mut host = Host::runnable(Shape::default());
    let (tdr, page) = (host.tdr, host.fresh_page());
    host.must(tdh::PHYMEM_PAGE_WBINVD, [page | 63 << 46, 0, 0, 0]);
    let owned = host.status(tdh::PHYMEM_PAGE_WBINVD, [tdr, 0, 0, 0]);
    assert_eq!(owned, rcx(Status::PAGE_METADATA_INCORRECT));
    let wide = host.status(tdh::PHYMEM_PAGE_WBINVD, [page | 1 << 52, 0, 0, 0]);
    assert_eq!(wide, rcx(Status::OPERAND_INVALID));
}
