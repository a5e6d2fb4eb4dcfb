//! Blocking, removing, relocating, splitting and merging, in a TD that is being built: no
//! tracking is needed yet. [ABI-H 3.4, 3.8]
//!
//! The memory is that of [`super::pages`].

use abi::Operand::{R8, Rcx, Rdx};
use abi::Status;
use conformance::Value::{At, Is, Past};

use super::entry::{BIG, BLOCKED_TABLE, FREE, LEAF, TABLE, info, state};
use super::operands::{Giver, giver};
use super::{INFO, invalid, tables};
use crate::place::Place::{Large, Page, Sept, Tdr};

/// GPA 0 is mapped.
pub const RELOCATE_GIVERS: &[Giver] = &[giver(
    abi::leaf::tdh::MEM_PAGE_RELOCATE,
    &[(abi::Gpr::Rcx, Is(0)), (abi::Gpr::Rdx, At(Tdr))],
    abi::Gpr::R8,
    INFO,
)];
/// A page of 2 MiB is mapped.
pub const DEMOTE_GIVERS: &[Giver] = &[giver(
    abi::leaf::tdh::MEM_PAGE_DEMOTE,
    &[(abi::Gpr::Rcx, Is(BIG | 1)), (abi::Gpr::Rdx, At(Tdr))],
    abi::Gpr::R8,
    INFO,
)];

const V1: u64 = 1 << 16;
const NULL: u64 = u64::MAX;
const INCORRECT: Status = Status::EPT_ENTRY_STATE_INCORRECT.with_operand(Rcx);
const ALREADY: Status = Status::GPA_RANGE_ALREADY_BLOCKED.with_operand(Rcx);

tables! {
    /// Wrong states.
    WRONG ["ABI-H 3.8, 7.2"] {
        "nothing is there": MEM_RANGE_BLOCK
            => (Rcx: Is(0x3000), Rdx: At(Tdr)) -> INCORRECT, (Rcx: Is(FREE), Rdx: Is(info(0, 0)));
        "nothing is there": MEM_RANGE_UNBLOCK
            => (Rcx: Is(0x3000), Rdx: At(Tdr)) -> INCORRECT, (Rcx: Is(FREE), Rdx: Is(info(0, 0)));
        "the page is not blocked": MEM_RANGE_UNBLOCK
            => (Rcx: Is(0), Rdx: At(Tdr)) -> INCORRECT,
            (Rcx: Past(Page(1), super::entry::MAPPED), Rdx: Is(info(0, state::MAPPED)));
        "nothing is there": MEM_PAGE_REMOVE
            => (Rcx: Is(0x3000), Rdx: At(Tdr)) -> INCORRECT, (Rcx: Is(FREE), Rdx: Is(info(0, 0)));
        "a table is there": MEM_PAGE_REMOVE
            => (Rcx: Is(1), Rdx: At(Tdr)) -> INCORRECT,
            (Rcx: Is(TABLE), Rdx: Is(info(1, state::NL_MAPPED)));
        "nothing is there": MEM_SEPT_REMOVE
            => (Rcx: Is(2 * BIG + 1), Rdx: At(Tdr)) -> INCORRECT,
            (Rcx: Is(FREE), Rdx: Is(info(1, 0)));
        "a page is there": MEM_SEPT_REMOVE
            => (Rcx: Is(BIG | 1), Rdx: At(Tdr)) -> INCORRECT,
            (Rcx: Past(Large(0), LEAF), Rdx: Is(info(1, state::PENDING)));
        "the table is not empty": MEM_SEPT_REMOVE
            => (Rcx: Is(1), Rdx: At(Tdr)) -> Status::EPT_PAGE_NOT_FREE.with_operand(Rcx),
            (Rcx: Is(TABLE), Rdx: Is(info(1, state::NL_MAPPED)));
        "nothing is there": MEM_PAGE_RELOCATE
            => (Rcx: Is(0x3000), Rdx: At(Tdr), R8: At(Page(3))) -> INCORRECT,
            (Rcx: Is(FREE), Rdx: Is(info(0, 0)));
        "the page is where it should go": MEM_PAGE_RELOCATE
            => (Rcx: Is(0), Rdx: At(Tdr), R8: At(Page(1))) -> invalid(R8),
            (Rcx: Is(0), Rdx: Is(0));
        "nothing is there": MEM_PAGE_DEMOTE
            => (Rcx: Is(2 * BIG + 1), Rdx: At(Tdr), R8: At(Sept(5))) -> INCORRECT,
            (Rcx: Is(FREE), Rdx: Is(info(1, 0)));
        "a table is there": MEM_PAGE_DEMOTE
            => (Rcx: Is(1), Rdx: At(Tdr), R8: At(Sept(5))) -> INCORRECT,
            (Rcx: Is(TABLE), Rdx: Is(info(1, state::NL_MAPPED)));
        "RDX bit 1 is reserved": MEM_PAGE_DEMOTE
            => (Rcx: Is(BIG | 1), Rdx: Past(Tdr, 2), R8: At(Sept(5))) -> invalid(Rdx),
            (Rcx: Is(0), Rdx: Is(0));
        "RDX bit 52 is reserved": MEM_PAGE_DEMOTE
            => (Rcx: Is(BIG | 1), Rdx: Past(Tdr, 1 << 52), R8: At(Sept(5))) -> invalid(Rdx),
            (Rcx: Is(0), Rdx: Is(0));
        "nothing is there": MEM_PAGE_PROMOTE
            => (Rcx: Is(2 * BIG + 1), Rdx: At(Tdr)) -> INCORRECT,
            (Rcx: Is(FREE), Rdx: Is(info(1, 0)));
        "a page is there": MEM_PAGE_PROMOTE + V1
            => (Rcx: Is(BIG | 1), Rdx: At(Tdr)) -> INCORRECT,
            (Rcx: Past(Large(0), LEAF), Rdx: Is(info(1, state::PENDING)), R9: Is(NULL),
             R10: Is(NULL), R11: Is(NULL));
        "the pages are not 512 alike in a row": MEM_PAGE_PROMOTE
            => (Rcx: Is(1), Rdx: At(Tdr))
            -> Status::EPT_INVALID_PROMOTE_CONDITIONS.with_operand(Rcx),
            (Rcx: Is(TABLE), Rdx: Is(info(1, state::NL_MAPPED)));
    }

    /// Blocking and unblocking.
    BLOCK ["ABI-H 3.8, 7.1"] {
        "the mapped page": MEM_RANGE_BLOCK
            => (Rcx: Is(0), Rdx: At(Tdr)) -> Status::SUCCESS, (Rcx: Is(0), Rdx: Is(0));
        "it is blocked": MEM_RANGE_BLOCK
            => (Rcx: Is(0), Rdx: At(Tdr)) -> ALREADY,
            (Rcx: Past(Page(1), LEAF), Rdx: Is(info(0, state::BLOCKED)));
        "the pending page": MEM_RANGE_BLOCK
            => (Rcx: Is(0x1000), Rdx: At(Tdr)) -> Status::SUCCESS, (Rcx: Is(0), Rdx: Is(0));
        "it is blocked": MEM_RANGE_BLOCK
            => (Rcx: Is(0x1000), Rdx: At(Tdr)) -> ALREADY,
            (Rcx: Past(Page(2), LEAF), Rdx: Is(info(0, state::PENDING_BLOCKED)));
        "a blocked page is not measured": MR_EXTEND
            => (Rcx: Is(0), Rdx: At(Tdr)) -> Status::EPT_ENTRY_NOT_PRESENT.with_operand(Rcx),
            (Rcx: Past(Page(1), LEAF), Rdx: Is(info(0, state::BLOCKED)));
        "a table": MEM_RANGE_BLOCK
            => (Rcx: Is(1), Rdx: At(Tdr)) -> Status::SUCCESS, (Rcx: Is(0), Rdx: Is(0));
        "it is blocked": MEM_RANGE_BLOCK
            => (Rcx: Is(1), Rdx: At(Tdr)) -> ALREADY,
            (Rcx: Is(BLOCKED_TABLE), Rdx: Is(info(1, state::NL_BLOCKED)));
        "the walk stops at the blocked table": MEM_RANGE_BLOCK
            => (Rcx: Is(0), Rdx: At(Tdr)) -> Status::EPT_WALK_FAILED.with_operand(Rcx),
            (Rcx: Is(BLOCKED_TABLE), Rdx: Is(info(1, state::NL_BLOCKED)));
        "the table": MEM_RANGE_UNBLOCK
            => (Rcx: Is(1), Rdx: At(Tdr)) -> Status::SUCCESS, (Rcx: Is(0), Rdx: Is(0));
        "the pending page": MEM_RANGE_UNBLOCK
            => (Rcx: Is(0x1000), Rdx: At(Tdr)) -> Status::SUCCESS, (Rcx: Is(0), Rdx: Is(0));
        "it is pending again": MEM_SEPT_RD
            => (Rcx: Is(0x1000), Rdx: At(Tdr)) -> Status::SUCCESS,
            (Rcx: Past(Page(2), LEAF), Rdx: Is(info(0, state::PENDING)));
    }

    /// No tracking, not even blocking.
    FREELY ["ABI-H 3.4, 3.8"] {
        "a page moves without tracking": MEM_PAGE_RELOCATE
            => (Rcx: Is(0x1000), Rdx: At(Tdr), R8: At(Page(3))) -> Status::SUCCESS,
            (Rcx: At(Page(2)), Rdx: Is(0));
        "it is where it went": MEM_SEPT_RD
            => (Rcx: Is(0x1000), Rdx: At(Tdr)) -> Status::SUCCESS,
            (Rcx: Past(Page(3), LEAF), Rdx: Is(info(0, state::PENDING)));
        "a page that was not blocked": MEM_PAGE_REMOVE
            => (Rcx: Is(0x1000), Rdx: At(Tdr)) -> Status::SUCCESS,
            (Rcx: At(Page(3)), Rdx: Is(0));
        "it is gone": MEM_SEPT_RD
            => (Rcx: Is(0x1000), Rdx: At(Tdr)) -> Status::SUCCESS,
            (Rcx: Is(FREE), Rdx: Is(info(0, 0)));
        "a 2 MiB page that was not blocked": MEM_PAGE_DEMOTE
            => (Rcx: Is(BIG | 1), Rdx: At(Tdr), R8: At(Sept(5))) -> Status::SUCCESS,
            (Rcx: Is(0), Rdx: Is(0));
        "it is a table of small pages": MEM_SEPT_RD
            => (Rcx: Is(BIG + 0x1F_F000), Rdx: At(Tdr)) -> Status::SUCCESS,
            (Rcx: Past(Large(0), 0x1F_F000 + LEAF), Rdx: Is(info(0, state::PENDING)));
        "a part of it is a 4 KiB page": PHYMEM_PAGE_RDMD
            => (Rcx: Past(Large(0), 0x1F_F000)) -> Status::SUCCESS,
            (Rcx: Is(3), Rdx: At(Tdr), R8: Is(0), R9: Is(0), R10: Is(0), R11: Is(0));
        "512 alike in a row": MEM_PAGE_PROMOTE + V1
            => (Rcx: Is(BIG | 1), Rdx: At(Tdr)) -> Status::SUCCESS,
            (Rcx: At(Sept(5)), Rdx: Is(0), R9: Is(NULL), R10: Is(NULL), R11: Is(NULL));
        "it is one page again": MEM_SEPT_RD
            => (Rcx: Is(BIG | 1), Rdx: At(Tdr)) -> Status::SUCCESS,
            (Rcx: Past(Large(0), LEAF), Rdx: Is(info(1, state::PENDING)));
        "a 2 MiB page": MEM_PAGE_REMOVE
            => (Rcx: Is(BIG | 1), Rdx: At(Tdr)) -> Status::SUCCESS,
            (Rcx: At(Large(0)), Rdx: Is(0));
        "an empty table, not blocked": MEM_SEPT_REMOVE + V1
            => (Rcx: Is(2 * BIG + 1), Rdx: At(Tdr)) -> Status::SUCCESS,
            (Rcx: At(Sept(6)), Rdx: Is(0), R9: Is(NULL), R10: Is(NULL), R11: Is(NULL));
    }
}
