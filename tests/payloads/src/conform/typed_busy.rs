//! The typed functions of leaves that can be busy: each tries again, gives up after a while,
//! and then says so. [ABI-G 16.24]
//!
//! The module's rule for each leaf is [`TIMES`]: one for the row of the leaf, enough for the
//! function to give up, and a few for the next call.
#![expect(unsafe_code, reason = "leaves that write memory")]

use abi::field::td;
use abi::leaf::tdg;
use abi::page_attributes::VmAttributes;
use abi::{Operand, PageLevel, PrivateGpa, Status};
use tdcall::guest::{self, Rtmr};

use super::Run;
use super::layout::small;
use super::run::What;
use super::tables::busy::ACCEPTED;

/// How often each leaf is busy. The functions try 32 times.
pub const TIMES: u32 = 1 + 32 + 5;
/// RCX of the calls of TDG.MEM.PAGE.ACCEPT that are busy.
pub const ACCEPT_RCX: u64 = small(ACCEPTED);

/// Calls each function twice: it gives up, then it succeeds.
pub fn all(run: &mut Run<'_>) {
    let (page, output) = (run.world.page.gpa, run.world.output.gpa);
    let [page, output, missing] = [page, output, ACCEPT_RCX].map(PrivateGpa::new);
    let none = VmAttributes::default();

    twice(run, tdg::MR_RTMR_EXTEND, "ABI-G 2.3", Operand::Rtmr, NAMES[0], || {
        status(guest::mr_rtmr_extend(page, Rtmr::Rtmr3))
    });
    twice(run, tdg::MR_REPORT, "ABI-G 2.5", Operand::Rtmr, NAMES[1], || {
        // SAFETY: the page is no Rust object.
        status(unsafe { guest::mr_report(output.into(), page.into()) })
    });
    twice(run, tdg::MEM_PAGE_ACCEPT, "ABI-G 11", Operand::Rcx, NAMES[2], || {
        // SAFETY: unlisted memory, where no Rust object is.
        unsafe { guest::mem_page_accept(missing, PageLevel::Size4K) }
    });
    twice(run, tdg::VM_WR, "ABI-G 2.8", Operand::MetadataField, NAMES[3], || {
        status(guest::vm_wr(td::NOTIFY_ENABLES, 0, 1))
    });
    twice(run, tdg::MEM_PAGE_ATTR_RD, "ABI-G 2.13", Operand::Rcx, NAMES[4], || {
        status(guest::mem_page_attr_rd(page))
    });
    twice(run, tdg::MEM_PAGE_ATTR_WR, "ABI-G 2.13", Operand::Rcx, NAMES[5], || {
        let written = guest::mem_page_attr_wr(page, PageLevel::Size4K, none, none);
        status(written.map_err(|error| error.status))
    });
}

/// What the two calls of each function are called.
const NAMES: [(&str, &str); 6] = [
    ("typed mr_rtmr_extend gives up", "typed mr_rtmr_extend tries again"),
    ("typed mr_report gives up", "typed mr_report tries again"),
    ("typed mem_page_accept gives up", "typed mem_page_accept tries again"),
    ("typed vm_wr gives up", "typed vm_wr tries again"),
    ("typed mem_page_attr_rd gives up", "typed mem_page_attr_rd tries again"),
    ("typed mem_page_attr_wr gives up", "typed mem_page_attr_wr tries again"),
];

fn twice(
    run: &mut Run<'_>,
    leaf: u64,
    source: &'static str,
    operand: Operand,
    (gives_up, tries_again): (&'static str, &'static str),
    call: impl Fn() -> Status,
) {
    let busy = Status::OPERAND_BUSY.with_operand(operand);
    run.typed(What(leaf, source, gives_up, busy), &call(), &busy);
    let done = Status::SUCCESS;
    run.typed(What(leaf, source, tries_again, done), &call(), &done);
}

fn status<T>(result: Result<T, Status>) -> Status {
    result.err().unwrap_or(Status::SUCCESS)
}
