//! What may happen to memory of a TD that may run: blocked, and tracked. [ABI-H 3.8]
//!
//! GPA 0 is `Page(1)`, mapped; the code's table, with [`super::entry::CODE`], is `Sept(4)`;
//! 2 MiB at [`BIG`] are `Large(0)`, accepted; the table at `2 * BIG` is `Sept(6)`, empty.

use abi::Operand::{R8, Rcx, SeptTree};
use abi::Status;
use conformance::Value::{At, Is, Past};

use super::entry::{BIG, LEAF, MAPPED, TABLE, info, state};
use super::{tables, wrong_page};
use crate::place::Place::{Large, Page, Sept, Tdr};

const V1: u64 = 1 << 16;
const NULL: u64 = u64::MAX;
const NOT_BLOCKED: Status = Status::GPA_RANGE_NOT_BLOCKED.with_operand(Rcx);
const NOT_TRACKED: Status = Status::TLB_TRACKING_NOT_DONE.with_operand(Rcx);

tables! {
    /// Nothing is blocked.
    UNBLOCKED ["ABI-H 3.8"] {
        "a page that is not blocked": MEM_PAGE_REMOVE
            => (Rcx: Is(0), Rdx: At(Tdr)) -> NOT_BLOCKED,
            (Rcx: Past(Page(1), MAPPED), Rdx: Is(info(0, state::MAPPED)));
        "a page that is not blocked, and R8 is wrong": MEM_PAGE_RELOCATE
            => (Rcx: Is(0), Rdx: At(Tdr), R8: At(Tdr)) -> NOT_BLOCKED,
            (Rcx: Past(Page(1), MAPPED), Rdx: Is(info(0, state::MAPPED)));
        "a table that is not blocked": MEM_SEPT_REMOVE
            => (Rcx: Is(2 * BIG + 1), Rdx: At(Tdr)) -> NOT_BLOCKED,
            (Rcx: Is(TABLE), Rdx: Is(info(1, state::NL_MAPPED)));
        "a page that is not blocked, and R8 is wrong": MEM_PAGE_DEMOTE
            => (Rcx: Is(BIG + 1), Rdx: At(Tdr), R8: At(Tdr)) -> NOT_BLOCKED,
            (Rcx: Past(Large(0), MAPPED), Rdx: Is(info(1, state::MAPPED)));
        "a table that is not blocked": MEM_PAGE_PROMOTE
            => (Rcx: Is(1), Rdx: At(Tdr)) -> NOT_BLOCKED,
            (Rcx: Is(TABLE), Rdx: Is(info(1, state::NL_MAPPED)));
    }

    /// All of that is blocked, without a TRACK since.
    BLOCKED ["ABI-H 3.8"] {
        "the page": MEM_RANGE_BLOCK
            => (Rcx: Is(0), Rdx: At(Tdr)) -> Status::SUCCESS, (Rcx: Is(0), Rdx: Is(0));
        "the 2 MiB page": MEM_RANGE_BLOCK
            => (Rcx: Is(BIG + 1), Rdx: At(Tdr)) -> Status::SUCCESS, (Rcx: Is(0), Rdx: Is(0));
        "the empty table": MEM_RANGE_BLOCK
            => (Rcx: Is(2 * BIG + 1), Rdx: At(Tdr)) -> Status::SUCCESS, (Rcx: Is(0), Rdx: Is(0));
        "a page that is not tracked": MEM_RANGE_UNBLOCK
            => (Rcx: Is(0), Rdx: At(Tdr)) -> Status::TLB_TRACKING_NOT_DONE.with_operand(SeptTree),
            (Rcx: Is(0), Rdx: Is(0));
        "a page that is not tracked": MEM_PAGE_REMOVE
            => (Rcx: Is(0), Rdx: At(Tdr)) -> NOT_TRACKED, (Rcx: Is(0), Rdx: Is(0));
        "a page that is not tracked, and R8 is wrong": MEM_PAGE_RELOCATE
            => (Rcx: Is(0), Rdx: At(Tdr), R8: At(Tdr)) -> NOT_TRACKED, (Rcx: Is(0), Rdx: Is(0));
        "a table that is not tracked": MEM_SEPT_REMOVE + V1
            => (Rcx: Is(2 * BIG + 1), Rdx: At(Tdr)) -> NOT_TRACKED,
            (Rcx: Is(0), Rdx: Is(0), R9: Is(NULL), R10: Is(NULL), R11: Is(NULL));
        "a page that is not tracked, and R8 is wrong": MEM_PAGE_DEMOTE
            => (Rcx: Is(BIG + 1), Rdx: At(Tdr), R8: At(Tdr)) -> NOT_TRACKED,
            (Rcx: Is(0), Rdx: Is(0));
        "the epoch of the blocking": PHYMEM_PAGE_RDMD
            => (Rcx: At(Page(1))) -> Status::SUCCESS,
            (Rcx: Is(3), Rdx: At(Tdr), R8: Is(0), R9: Is(2), R10: Is(0), R11: Is(0));
    }

    /// A TRACK later.
    TRACKED ["ABI-H 3.8"] {
        "tracked, but R8 is wrong": MEM_PAGE_RELOCATE
            => (Rcx: Is(0), Rdx: At(Tdr), R8: At(Tdr)) -> wrong_page(R8),
            (Rcx: Is(0), Rdx: Is(0));
        "tracked, but R8 is wrong": MEM_PAGE_DEMOTE
            => (Rcx: Is(BIG + 1), Rdx: At(Tdr), R8: At(Tdr)) -> wrong_page(R8),
            (Rcx: Is(0), Rdx: Is(0));
    }

    /// After DEMOTE.
    SPLIT ["ABI-H 3.8"] {
        "the parts are as the whole was, and not blocked": MEM_SEPT_RD
            => (Rcx: Is(BIG + 0x1000), Rdx: At(Tdr)) -> Status::SUCCESS,
            (Rcx: Past(Large(0), 0x1000 + MAPPED), Rdx: Is(info(0, state::MAPPED)));
        "the page is a table": PHYMEM_PAGE_RDMD
            => (Rcx: At(Sept(5))) -> Status::SUCCESS,
            (Rcx: Is(8), Rdx: At(Tdr), R8: Is(0), R9: Is(0), R10: Is(0), R11: Is(0));
        "the table": MEM_RANGE_BLOCK
            => (Rcx: Is(BIG + 1), Rdx: At(Tdr)) -> Status::SUCCESS, (Rcx: Is(0), Rdx: Is(0));
        "a table that is not tracked": MEM_PAGE_PROMOTE
            => (Rcx: Is(BIG + 1), Rdx: At(Tdr)) -> NOT_TRACKED, (Rcx: Is(0), Rdx: Is(0));
    }

    /// After PROMOTE.
    MERGED ["ABI-H 3.8"] {
        "the page is as its parts were": MEM_SEPT_RD
            => (Rcx: Is(BIG + 1), Rdx: At(Tdr)) -> Status::SUCCESS,
            (Rcx: Past(Large(0), MAPPED), Rdx: Is(info(1, state::MAPPED)));
        "the 2 MiB page again": MEM_RANGE_BLOCK
            => (Rcx: Is(BIG + 1), Rdx: At(Tdr)) -> Status::SUCCESS, (Rcx: Is(0), Rdx: Is(0));
        "it is blocked": MEM_SEPT_RD
            => (Rcx: Is(BIG + 1), Rdx: At(Tdr)) -> Status::SUCCESS,
            (Rcx: Past(Large(0), LEAF), Rdx: Is(info(1, state::BLOCKED)));
    }
}
