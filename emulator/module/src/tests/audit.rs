//! Single checks of host leaves: a row each. [ABI-H 3.5-3.9]

use abi::leaf::{tdh, versioned};
use abi::{Operand, Regs, Status};
use zerocopy::IntoBytes;

use super::fake::PAGE;
use super::host::{BUFFER, GIB, Host, Shape, ZEROS};
use crate::pamt::PageType;

const NULL: u64 = u64::MAX;
const MIB2: u64 = PAGE << 9;
const UNUSED: u64 = 1 << 63;

fn rcx(status: Status) -> Status {
    status.with_operand(Operand::Rcx)
}

/// Version 1 with R8-R11; status, R8-R11, RCX and RDX.
fn sept_add(host: &mut Host, rcx: u64, rdx: u64, pages: [u64; 4]) -> (Status, [u64; 4], u64, u64) {
    let regs = host.call(versioned(tdh::MEM_SEPT_ADD, 1), |r| {
        (r.rcx, r.rdx) = (rcx, rdx);
        [r.r8, r.r9, r.r10, r.r11] = pages;
    });
    (Status(regs.rax), [regs.r8, regs.r9, regs.r10, regs.r11], regs.rcx, regs.rdx)
}

#[test]
fn sept_add_version_1_gives_its_pages_back_with_every_status() {
    let mut host = Host::runnable(Shape::default());
    let (tdr, page) = (host.tdr, host.fresh_page());
    let none = [NULL; 3];
    let with = |first: u64| [first, none[0], none[1], none[2]];
    // Bit 63 is ignored and cleared.
    let bad = sept_add(&mut host, 0, tdr, [page | UNUSED, UNUSED, 9 | UNUSED, NULL]);
    assert_eq!(bad, (rcx(Status::OPERAND_INVALID), [page, 0, 9, NULL], 0, 0));
    let no_td = sept_add(&mut host, 1, tdr | 2, with(page | UNUSED));
    let rdx = Status::OPERAND_INVALID.with_operand(Operand::Rdx);
    assert_eq!(no_td, (rdx, with(page), 0, 0));
    // A page that is not needed is marked before the next register is looked at.
    let nested = sept_add(&mut host, 1, tdr | 1, [page, page, NULL, NULL]);
    let r9 = Status::OPERAND_INVALID.with_operand(Operand::R9);
    assert_eq!(nested, (r9, [page | UNUSED, page, NULL, NULL], 0, 0));
    let last = sept_add(&mut host, MIB2 | 1, tdr, [page, NULL, NULL, page]);
    let r11 = Status::OPERAND_INVALID.with_operand(Operand::R11);
    assert_eq!(last, (r11, [page, NULL, NULL, page], 0, 0), "nothing was done");
    let owned = sept_add(&mut host, MIB2 | 1, tdr, with(tdr));
    let r8 = Status::PAGE_METADATA_INCORRECT.with_operand(Operand::R8);
    assert_eq!(owned, (r8, with(tdr), 0, 0));
    // There is a table, and no page is given: nothing to do.
    assert_eq!(sept_add(&mut host, 1, tdr, [NULL; 4]), (Status::SUCCESS, [NULL; 4], 0, 0));
    let missing = sept_add(&mut host, MIB2 | 1, tdr, [NULL; 4]);
    let state = rcx(Status::EPT_ENTRY_STATE_INCORRECT);
    assert_eq!(missing, (state, [NULL; 4], 1 << 63, 1));
    host.assert_ownership();
}

#[test]
fn sept_add_lets_exist_only_a_table_that_is_not_blocked() {
    let mut host = Host::runnable(Shape::default());
    let (tdr, page, large) = (host.tdr, host.fresh_page(), host.fresh_large_page());
    let state = rcx(Status::EPT_ENTRY_STATE_INCORRECT);
    let add = |host: &mut Host, operand: u64, page: u64| {
        let regs =
            host.call(tdh::MEM_SEPT_ADD, |r| (r.rcx, r.rdx, r.r8) = (operand, tdr | 1, page));
        (Status(regs.rax), regs.rcx, regs.rdx, regs.r8)
    };
    host.must(tdh::MEM_PAGE_AUG, [MIB2 | 1, tdr, large, 0]);
    let leaf = (state, large | 1 << 63 | 0xF0, 1 | 2 << 8, page);
    assert_eq!(add(&mut host, MIB2 | 1, page), leaf);
    assert_eq!(add(&mut host, MIB2 | 1, NULL).0, state, "the state comes before R8");
    host.must(tdh::MEM_RANGE_BLOCK, [1, tdr, 0, 0]);
    assert_eq!(add(&mut host, 1, page), (state, 0, 1 | 0x81 << 8, page));
}

#[test]
fn block_and_unblock_work_at_every_level() {
    let five = Shape { config_flags: 5, five_levels: true, ..Shape::default() };
    for (shape, top) in [(Shape::default(), 3), (five, 4)] {
        for level in 0..=top {
            let mut host = Host::runnable(shape);
            let tdr = host.tdr;
            let read = |host: &mut Host| {
                let regs = host.must(tdh::MEM_SEPT_RD, [level, tdr, 0, 0]);
                (regs.rcx, regs.rdx)
            };
            let before = read(&mut host);
            let block = |host: &mut Host| {
                let regs = host.call(tdh::MEM_RANGE_BLOCK, |r| (r.rcx, r.rdx) = (level, tdr));
                (Status(regs.rax), regs.rcx, regs.rdx)
            };
            assert_eq!(block(&mut host), (Status::SUCCESS, 0, 0));
            let (entry, info) = read(&mut host);
            assert_eq!(entry & 7, 0, "nothing is allowed at level {level}");
            assert_eq!(info >> 8 & 0x7F, 1);
            assert_eq!(block(&mut host), (rcx(Status::GPA_RANGE_ALREADY_BLOCKED), entry, info));
            let unblock = |host: &mut Host| host.status(tdh::MEM_RANGE_UNBLOCK, [level, tdr, 0, 0]);
            let untracked = Status::TLB_TRACKING_NOT_DONE.with_operand(Operand::SeptTree);
            assert_eq!(unblock(&mut host), untracked);
            host.must(tdh::MEM_TRACK, [tdr, 0, 0, 0]);
            assert_eq!(unblock(&mut host), Status::SUCCESS);
            assert_eq!(read(&mut host), before);
            assert_eq!(unblock(&mut host), rcx(Status::EPT_ENTRY_STATE_INCORRECT));
        }
        let mut host = Host::runnable(shape);
        let tdr = host.tdr;
        for leaf in [tdh::MEM_RANGE_BLOCK, tdh::MEM_RANGE_UNBLOCK, tdh::MEM_SEPT_RD] {
            let above = host.status(leaf, [top + 1, tdr, 0, 0]);
            assert_eq!(above, rcx(Status::OPERAND_INVALID), "leaf {leaf}");
        }
        let free = host.status(tdh::MEM_RANGE_BLOCK, [PAGE, tdr, 0, 0]);
        assert_eq!(free, rcx(Status::EPT_ENTRY_STATE_INCORRECT));
    }
}

#[test]
fn reclaim_and_rdmd_report_what_they_find() {
    let mut host = Host::runnable(Shape::default());
    let (tdr, tdvpr, free) = (host.tdr, host.tdvpr, host.fresh_page());
    let large = host.fresh_large_page();
    host.must(tdh::MEM_PAGE_AUG, [MIB2 | 1, tdr, large, 0]);
    let full = |leaf: u64, host: &mut Host, page: u64| {
        let regs = host.call(leaf, |r| {
            (r.rcx, r.rdx, r.r8, r.r9, r.r10, r.r11, r.r12) = (page, 2, 8, 9, 10, 11, 12);
        });
        let outputs = [regs.rcx, regs.rdx, regs.r8, regs.r9, regs.r10, regs.r11, regs.r12];
        (Status(regs.rax), outputs)
    };
    let zeros = [0, 0, 0, 0, 0, 0, 12];
    let found = |kind: PageType, owner, level| [u64::from(kind.0), owner, level, 0, 0, 0, 12];
    for leaf in [tdh::PHYMEM_PAGE_RDMD, tdh::PHYMEM_PAGE_RECLAIM] {
        for (page, status) in [
            (free + 8, Status::OPERAND_INVALID),
            (free | 1 << 46, Status::OPERAND_INVALID),
            (free | 1 << 52, Status::OPERAND_INVALID),
            (GIB, Status::OPERAND_ADDR_RANGE_ERROR),
        ] {
            assert_eq!(full(leaf, &mut host, page), (rcx(status), zeros), "{leaf} {page:#x}");
        }
    }
    let hole = 0x200_0000;
    let rdmd = tdh::PHYMEM_PAGE_RDMD;
    assert_eq!(full(rdmd, &mut host, free), (Status::SUCCESS, zeros));
    assert_eq!(full(rdmd, &mut host, hole), (Status::SUCCESS, found(PageType::RSVD, 0, 0)));
    let reg = found(PageType::REG, tdr, 1);
    assert_eq!(full(rdmd, &mut host, large + PAGE), (Status::SUCCESS, reg));
    let reclaim = tdh::PHYMEM_PAGE_RECLAIM;
    let unowned = (rcx(Status::PAGE_METADATA_INCORRECT), zeros);
    assert_eq!(full(reclaim, &mut host, free), unowned);
    assert_eq!(full(reclaim, &mut host, hole), unowned);
    assert_eq!(full(reclaim, &mut host, large + PAGE), (rcx(Status::OPERAND_INVALID), reg));
    let alive = Status::LIFECYCLE_STATE_INCORRECT;
    assert_eq!(full(reclaim, &mut host, large), (alive, reg));
    assert_eq!(full(reclaim, &mut host, tdvpr), (alive, found(PageType::TDVPR, tdr, 0)));
    assert_eq!(full(reclaim, &mut host, tdr), (alive, found(PageType::TDR, 0, 0)));

    host.must(tdh::VP_FLUSH, [tdvpr, 0, 0, 0]);
    host.must(tdh::MNG_VPFLUSHDONE, [tdr, 0, 0, 0]);
    host.must(tdh::PHYMEM_CACHE_WB, [0; 4]);
    host.must(tdh::MNG_KEY_FREEID, [tdr, 0, 0, 0]);
    assert_eq!(full(reclaim, &mut host, large), (Status::SUCCESS, reg));
    assert_eq!(full(rdmd, &mut host, large).1[0], 0);
    host.assert_ownership();
}

#[test]
fn key_leaves_follow_the_lifecycle() {
    let mut host = Host::ready();
    let (tdr, other) = (host.fresh_page(), host.fresh_page());
    let rdx = Status::OPERAND_INVALID.with_operand(Operand::Rdx);
    for hkid in [0, 31, 64, 1 << 16 | 33, NULL] {
        // The HKID comes before the page.
        assert_eq!(host.status(tdh::MNG_CREATE, [8, hkid, 0, 0]), rdx, "{hkid:#x}");
    }
    assert_eq!(host.status(tdh::MNG_CREATE, [8, 33, 0, 0]), rcx(Status::OPERAND_INVALID));
    assert_eq!(
        host.status(tdh::MNG_CREATE, [tdr, 32, 0, 0]),
        Status::HKID_NOT_FREE,
        "the module's"
    );
    host.must(tdh::MNG_CREATE, [tdr, 33, 0, 0]);
    assert_eq!(host.status(tdh::MNG_CREATE, [other, 33, 0, 0]), Status::HKID_NOT_FREE);
    let of_td = [tdr, 0, 0, 0];
    let wrong = Status::LIFECYCLE_STATE_INCORRECT;
    assert_eq!(host.status(tdh::MNG_KEY_FREEID, of_td), wrong);
    host.must(tdh::MNG_KEY_CONFIG, of_td);
    assert_eq!(host.status(tdh::MNG_KEY_CONFIG, of_td), wrong, "one package");
    for cmd in [2, NULL] {
        let refused = host.status(tdh::PHYMEM_CACHE_WB, [cmd, 0, 0, 0]);
        assert_eq!(refused, rcx(Status::OPERAND_INVALID));
    }
    let none = Status::NO_HKID_READY_TO_WBCACHE;
    assert_eq!(host.status(tdh::PHYMEM_CACHE_WB, [0; 4]), none);
    host.must(tdh::MNG_VPFLUSHDONE, of_td);
    assert_eq!(host.status(tdh::MNG_VPFLUSHDONE, of_td), wrong);
    assert_eq!(host.status(tdh::MNG_KEY_CONFIG, of_td), wrong);
    assert_eq!(host.status(tdh::MNG_CREATE, [other, 33, 0, 0]), Status::HKID_NOT_FREE);
    assert_eq!(host.status(tdh::MNG_KEY_FREEID, of_td), Status::WBCACHE_NOT_COMPLETE);
    host.must(tdh::PHYMEM_CACHE_WB, [0; 4]);
    host.must(tdh::PHYMEM_CACHE_WB, [0; 4]); // Flushed it is until FREEID.
    host.must(tdh::MNG_KEY_FREEID, of_td);
    assert_eq!(host.status(tdh::MNG_KEY_FREEID, of_td), wrong);
    host.must(tdh::MNG_CREATE, [other, 33, 0, 0]);
    assert_eq!(host.status(tdh::MNG_KEY_RECLAIMID, [NULL; 4]), Status::SUCCESS);
}

#[test]
fn addcx_fills_the_control_structure_and_stops_in_time() {
    let mut host = Host::with_tdcs();
    let tdr = host.tdr;
    for _ in 6..9 {
        let page = host.fresh_page();
        host.must(tdh::MNG_ADDCX, [page, tdr, 0, 0]);
    }
    assert_eq!(host.status(tdh::MNG_ADDCX, [8, tdr, 0, 0]), Status::TDCX_NUM_INCORRECT);
    let mut host = Host::initialized(Shape::default());
    let (tdr, page) = (host.tdr, host.fresh_page());
    let owned = host.status(tdh::MNG_ADDCX, [tdr, tdr, 0, 0]);
    assert_eq!(owned, rcx(Status::PAGE_METADATA_INCORRECT), "before the op_state");
    assert_eq!(host.status(tdh::MNG_ADDCX, [page, tdr, 0, 0]), Status::OP_STATE_INCORRECT);
    let tdvpr = host.fresh_page();
    host.must(tdh::VP_CREATE, [tdvpr, tdr, 0, 0]);
    for _ in 1..15 {
        let page = host.fresh_page();
        host.must(tdh::VP_ADDCX, [page, tdvpr, 0, 0]);
    }
    assert_eq!(host.status(tdh::VP_ADDCX, [8, tdvpr, 0, 0]), Status::TDCX_NUM_INCORRECT);
}

#[test]
fn sys_info_refuses_in_order_and_clears_its_first_buffer() {
    let mut host = Host::ready();
    let info = |host: &mut Host, operands: [u64; 4]| {
        let regs = host.call(tdh::SYS_INFO, |r| [r.rcx, r.rdx, r.r8, r.r9] = operands);
        (Status(regs.rax), regs.rcx, regs.rdx, regs.r8, regs.r9)
    };
    let refused = |operand, rcx, r8| (Status::OPERAND_INVALID.with_operand(operand), rcx, 0, r8, 0);
    let fill = |host: &mut Host| host.m.vmm_write(BUFFER, &[0xAA; 8]);
    fill(&mut host);
    let unaligned = info(&mut host, [BUFFER + 512, 0, 1, 0]);
    assert_eq!(unaligned, refused(Operand::Rcx, BUFFER + 512, 1));
    assert_eq!(info(&mut host, [BUFFER, 1023, 1, 0]), refused(Operand::Rdx, BUFFER, 1));
    assert_ne!(host.m.vmm_read_u64(BUFFER), 0);
    assert_eq!(info(&mut host, [BUFFER, 1024, 1, 0]), refused(Operand::R8, BUFFER, 1));
    assert_eq!(host.m.vmm_read_u64(BUFFER), 0, "as 1.5.01 does");
    fill(&mut host);
    let few = info(&mut host, [BUFFER, 1024, BUFFER + 1024, 31]);
    assert_eq!(few, refused(Operand::R9, BUFFER, BUFFER + 1024));
    assert_eq!(host.m.vmm_read_u64(BUFFER), 0);
    let mut early = Host::power_on();
    let not_done = (Status::SYS_LP_INIT_NOT_DONE, BUFFER, 0, 1, 0);
    assert_eq!(info(&mut early, [BUFFER, 1024, 1, 32]), not_done);
}

#[test]
fn arch_capabilities_are_configured_by_their_flag_alone() {
    for (flag, config, accepted) in [
        (0, 0, true),
        (0, 1 << 4, false),
        (1, 1 << 4 | 1 << 19 | 1 << 20 | 1 << 24, true),
        (1, 1 << 7, false),
        (1, 1 << 63, false),
    ] {
        let mut host = Host::with_tdcs();
        let mut params = Host::params(Shape::default());
        (params.msr_config_ctls, params.ia32_arch_capabilities_config) = (flag, config);
        host.m.vmm_write(BUFFER, params.as_bytes());
        let tdr = host.tdr;
        let refused = Status::OPERAND_INVALID.with_operand(Operand::ArchCapabilitiesConfig);
        let expected = if accepted { Status::SUCCESS } else { refused };
        let status = host.status(tdh::MNG_INIT, [tdr, BUFFER, 0, 0]);
        assert_eq!(status, expected, "{flag} {config:#x}");
    }
}

/// Every register that no leaf mentions comes back as it went in. [ABI-H 1.5]
#[test]
fn registers_that_a_leaf_does_not_write_are_the_vmm_s() {
    let mut host = Host::built(Shape::default());
    let (tdr, page) = (host.tdr, host.fresh_page());
    let mut regs = Regs { rbx: 3, rsp: 4, rbp: 5, rsi: 6, rdi: 7, ..Regs::default() };
    (regs.r8, regs.r9, regs.r10, regs.r11) = (page, ZEROS, 10, 11);
    (regs.r12, regs.r13, regs.r14, regs.r15) = (12, 13, 14, 15);
    let mut row = |leaf, rcx, rdx, expected: (Status, u64, u64)| {
        let mut regs = Regs { rax: leaf, rcx, rdx, ..regs };
        let before = regs;
        host.seamcall(&mut regs);
        let (status, rcx, rdx) = expected;
        assert_eq!(regs, Regs { rax: status.0, rcx, rdx, ..before }, "leaf {leaf}");
    };
    let ok = Status::SUCCESS;
    row(tdh::MEM_PAGE_ADD, 0x1000, tdr, (ok, 0, 0));
    row(tdh::MR_EXTEND, 0x1100, tdr, (ok, 0, 0));
    row(tdh::MEM_RANGE_BLOCK, 0x1000, tdr, (ok, 0, 0));
    row(tdh::MEM_RANGE_UNBLOCK, 0x1000, tdr, (ok, 0, 0));
    row(tdh::MEM_PAGE_REMOVE, 0x1000, tdr, (ok, page, 0));
    row(tdh::MEM_PAGE_AUG, 0x2000, tdr, (ok, 0, 0));
    row(tdh::MEM_SEPT_RD, 0x2000, tdr, (ok, page | 1 << 63 | 0xF0, 2 << 8));
    row(tdh::MEM_TRACK, tdr, 2, (ok, tdr, 2));
    row(tdh::MR_FINALIZE, tdr, 2, (ok, tdr, 2));
    row(tdh::MNG_KEY_RECLAIMID, 1, 2, (ok, 1, 2));
    row(tdh::SYS_LP_SHUTDOWN, 1, 2, (ok, 1, 2));
    row(42, 1, 2, (Status::OPERAND_INVALID, 1, 2));
}
