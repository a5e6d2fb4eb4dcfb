//! The end of the TD that ran, and TDs that end before they are finished.

use abi::Status;
use abi::leaf::tdh;
use tdcall::host;

use super::{build, enter, operands, quick};
use crate::place::Place::{Page, Tdr, Tdvpr};
use crate::run::{Run, What};
use crate::tables::enter as exits;
use crate::tables::operands::{TDR, TDVPR};
use crate::tables::teardown;

const SOURCE: &str = "ABI-H 3.9";

/// Ends.
pub(super) fn run(run: &mut Run) {
    torn_down(run);
    unfinished(run);
}

/// The first vCPU dies; the TD loses its key and its pages.
fn torn_down(run: &mut Run) {
    enter::leave(run, 0, &exits::TRIPLE_FAULT);
    run.table(exits::DISABLED);
    run.table(teardown::ASSOCIATED);
    flush(run, 0);
    run.table(teardown::FLUSHED_ONCE);
    flush(run, 0);
    flush(run, 1);
    let tdr = run.address(Tdr);
    let what = What(tdh::MNG_VPFLUSHDONE, SOURCE, "no vCPU is on a processor");
    run.typed(&what, host::mng_vpflushdone(tdr), &());
    run.table(teardown::BLOCKED);
    operands::state(run, "the key is given up", TDR, 0, Status::TD_KEYS_NOT_CONFIGURED);
    operands::state(run, "the key is given up", TDVPR, 0, Status::TD_KEYS_NOT_CONFIGURED);
    let what = What(tdh::PHYMEM_CACHE_WB, SOURCE, "a key was given up");
    run.typed(&what, host::phymem_cache_wb(), &());
    let what = What(tdh::MNG_KEY_FREEID, SOURCE, "the caches are written back");
    run.typed(&what, host::mng_key_freeid(tdr), &());
    run.table(teardown::TEARDOWN);
    quick::reclaim(run);
    run.table(teardown::RECLAIMED);
    let page = run.pool.keyed(Page(4), 1);
    let what = What(tdh::PHYMEM_PAGE_WBINVD, SOURCE, "what its key left of a page in the caches");
    run.typed(&what, host::phymem_page_wbinvd(page), &());
}

fn flush(run: &mut Run, vcpu: u8) {
    let what = What(tdh::VP_FLUSH, SOURCE, "a vCPU that is on this processor");
    run.typed(&what, host::vp_flush(run.address(Tdvpr(vcpu))), &());
}

/// TDs that were never initialised: with no key, and with nine TDCS pages.
fn unfinished(run: &mut Run) {
    build::create(run);
    quick::end(run, false);
    let made = quick::create(run, 9);
    quick::report(run, "a TD with nine TDCS pages", made);
    run.table(crate::tables::build::NINE);
    quick::end(run, false);
}
