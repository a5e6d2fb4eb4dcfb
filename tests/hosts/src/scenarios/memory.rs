//! The memory of a TD that is being built, and the end of the building.
#![expect(unsafe_code, reason = "leaves that take pages")]

use abi::leaf::tdh;
use abi::{Hpa, PageLevel, PrivateGpa};
use tdcall::host::{self, Removed, SeptEntry};

use super::operands;
use crate::bare;
use crate::place::Buffer;
use crate::place::Place::{Buffer as In, Large, Page, Sept, Tdr};
use crate::run::{Run, What};
use crate::tables::entry::{BIG, CODE, MAPPED, state};
use crate::tables::operands::IS_TDR;
use crate::tables::{pages, ranges, sept};

const SOURCE: &str = "ABI-H 3.7";

/// Tables, pages and what can be done with them before MR.FINALIZE.
pub(super) fn built(run: &mut Run) {
    run.table(sept::ROOT);
    add_table(run, 0, 3, 0);
    run.table(sept::TABLES);
    add_table(run, 0, 1, 2);
    add_table(run, CODE & !0x1F_FFFF, 1, 4);

    bare::zero(run.pool.resolve(In(Buffer::Source)));
    run.table(pages::ADD);
    operands::given(run, pages::GIVERS, &[IS_TDR]);
    add_page(run, 0, 1);
    extend(run, 0);
    let pending = run.address(Page(2));
    aug(run, 0x1000, PageLevel::Size4K, pending);
    let inner = Hpa::try_new(run.pool.resolve(Large(3)) + 0x5000).unwrap_or(pending);
    aug(run, 0x2000, PageLevel::Size4K, inner);
    run.table(pages::MAPPED_AND_PENDING);
    let large = run.address(Large(0));
    aug(run, BIG, PageLevel::Size2M, large);
    run.table(pages::LARGE);
    ranges(run);
}

fn ranges(run: &mut Run) {
    run.table(ranges::WRONG);
    operands::given(run, ranges::RELOCATE_GIVERS, &[IS_TDR]);
    operands::given(run, ranges::DEMOTE_GIVERS, &[IS_TDR]);
    run.table(ranges::BLOCK);
    let (gpa, tdr) = (PrivateGpa::new(0), run.address(Tdr));
    let what = What(tdh::MEM_RANGE_UNBLOCK, "ABI-H 3.8", "a page that was not tracked");
    run.typed(&what, host::mem_range_unblock(gpa, 0, tdr), &());
    let entry =
        SeptEntry { entry: run.pool.resolve(Page(1)) | MAPPED, level: 0, state: state::MAPPED };
    let what = What(tdh::MEM_SEPT_RD, "ABI-H 3.8", "the entry of a page");
    run.typed(&what, host::mem_sept_rd(gpa, 0, tdr), &entry);
    add_table(run, 2 * BIG, 1, 6);
    run.table(ranges::FREELY);
    let what = What(tdh::MEM_TRACK, "ABI-H 3.8", "nobody is in the TD");
    run.typed(&what, host::mem_track(tdr), &());
    let what = What(tdh::MEM_PAGE_REMOVE, "ABI-H 3.8", "a page that was not blocked");
    let removed = Removed { page: run.pool.resolve(Large(3)) + 0x5000 };
    run.typed(
        &what,
        host::mem_page_remove(PrivateGpa::new(0x2000), PageLevel::Size4K, tdr),
        &removed,
    );
}

/// SEPT.ADD of table `page`.
pub(super) fn add_table(run: &mut Run, gpa: u64, level: u8, page: u8) {
    let (page, tdr) = (run.address(Sept(page)), run.address(Tdr));
    // SAFETY: a page of the pool, where no Rust object is.
    let done = unsafe { host::mem_sept_add(PrivateGpa::new(gpa), level, tdr, page) };
    run.typed(&What(tdh::MEM_SEPT_ADD, SOURCE, "a page that is nobody's"), done, &());
}

/// PAGE.ADD of what is in the source buffer.
pub(super) fn add_page(run: &mut Run, gpa: u64, page: u16) {
    let (page, tdr, source) =
        (run.address(Page(page)), run.address(Tdr), run.address(In(Buffer::Source)));
    // SAFETY: a page of the pool, where no Rust object is.
    let done = unsafe { host::mem_page_add(PrivateGpa::new(gpa), tdr, page, source) };
    run.typed(&What(tdh::MEM_PAGE_ADD, SOURCE, "a page that is nobody's"), done, &());
}

/// MR.EXTEND of a page.
pub(super) fn extend(run: &mut Run, gpa: u64) {
    let tdr = run.address(Tdr);
    let done = (gpa..gpa + abi::PAGE_SIZE)
        .step_by(256)
        .try_for_each(|chunk| host::mr_extend(PrivateGpa::new(chunk), tdr));
    run.typed(&What(tdh::MR_EXTEND, SOURCE, "the 16 pieces of a page"), done, &());
}

/// PAGE.AUG.
pub(super) fn aug(run: &mut Run, gpa: u64, level: PageLevel, page: Hpa) {
    // SAFETY: a page of the pool, where no Rust object is.
    let done = unsafe { host::mem_page_aug(PrivateGpa::new(gpa), level, run.address(Tdr), page) };
    run.typed(&What(tdh::MEM_PAGE_AUG, SOURCE, "a page that is nobody's"), done, &());
}
