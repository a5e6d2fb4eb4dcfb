//! Pages of a TD that is being built: PAGE.ADD, MR.EXTEND, PAGE.AUG. [ABI-H 3.7]
//!
//! GPA 0 is [`Page`]`(1)`, mapped; GPA 0x1000 is `Page(2)`, pending; at [`BIG`] there is a
//! pending page of 2 MiB.

use abi::Operand::{R8, R9, Rcx};
use abi::Status;
use conformance::Value::{At, Is, Past};

use super::entry::{BIG, FREE, LEAF, MAPPED, TABLE, info, state};
use super::operands::{Giver, giver};
use super::{BEYOND, INFO, KEY, invalid, tables, wrong_page};
use crate::place::Buffer::Source;
use crate::place::Place::{Buffer as In, Large, Page, Seamrr, Tdr};

/// The tables are there for both GPAs.
pub const GIVERS: &[Giver] = &[
    giver(
        abi::leaf::tdh::MEM_PAGE_ADD,
        &[(abi::Gpr::Rcx, Is(0)), (abi::Gpr::Rdx, At(Tdr)), (abi::Gpr::R9, At(In(Source)))],
        abi::Gpr::R8,
        INFO,
    ),
    giver(
        abi::leaf::tdh::MEM_PAGE_AUG,
        &[(abi::Gpr::Rcx, Is(0x1000)), (abi::Gpr::Rdx, At(Tdr))],
        abi::Gpr::R8,
        INFO,
    ),
];

tables! {
    /// Nothing is mapped yet.
    ADD ["ABI-H 3.7"] {
        "the source is not aligned, and the page is wrong": MEM_PAGE_ADD
            => (Rcx: Is(0), Rdx: At(Tdr), R8: At(Tdr), R9: Past(In(Source), 0x800)) -> invalid(R9),
            (Rcx: Is(0), Rdx: Is(0));
        "the source has a private HKID": MEM_PAGE_ADD
            => (Rcx: Is(0), Rdx: At(Tdr), R8: At(Page(1)), R9: Past(In(Source), KEY)) -> invalid(R9),
            (Rcx: Is(0), Rdx: Is(0));
        "the source is beyond the physical addresses": MEM_PAGE_ADD
            => (Rcx: Is(0), Rdx: At(Tdr), R8: At(Page(1)), R9: Past(In(Source), BEYOND))
            -> invalid(R9), (Rcx: Is(0), Rdx: Is(0));
        "the source is in the module's memory": MEM_PAGE_ADD
            => (Rcx: Is(0), Rdx: At(Tdr), R8: At(Page(1)), R9: At(Seamrr)) -> invalid(R9),
            (Rcx: Is(0), Rdx: Is(0));
        "the walk stops above, and the source is wrong": MEM_PAGE_ADD
            => (Rcx: Is(BIG), Rdx: At(Tdr), R8: At(Tdr), R9: Is(1))
            -> Status::EPT_WALK_FAILED.with_operand(Rcx),
            (Rcx: Is(FREE), Rdx: Is(info(1, 0)));
        "nothing is mapped there": MR_EXTEND
            => (Rcx: Is(0), Rdx: At(Tdr)) -> Status::EPT_ENTRY_NOT_PRESENT.with_operand(Rcx),
            (Rcx: Is(FREE), Rdx: Is(info(0, 0)));
        "no table is there": MR_EXTEND
            => (Rcx: Is(BIG), Rdx: At(Tdr)) -> Status::EPT_ENTRY_NOT_PRESENT.with_operand(Rcx),
            (Rcx: Is(FREE), Rdx: Is(info(1, 0)));
    }

    /// Both pages are there.
    MAPPED_AND_PENDING ["ABI-H 3.7"] {
        "a page is there, and source and page are wrong": MEM_PAGE_ADD
            => (Rcx: Is(0), Rdx: At(Tdr), R8: At(Tdr), R9: Is(1))
            -> Status::EPT_ENTRY_STATE_INCORRECT.with_operand(Rcx),
            (Rcx: Past(Page(1), MAPPED), Rdx: Is(info(0, state::MAPPED)));
        "the page is the TD's already": MEM_PAGE_ADD
            => (Rcx: Is(0x3000), Rdx: At(Tdr), R8: At(Page(1)), R9: At(In(Source)))
            -> wrong_page(R8), (Rcx: Is(0), Rdx: Is(0));
        "a page of the TD": PHYMEM_PAGE_RDMD
            => (Rcx: At(Page(1))) -> Status::SUCCESS,
            (Rcx: Is(3), Rdx: At(Tdr), R8: Is(0), R9: Is(0), R10: Is(0), R11: Is(0));
        "the key was not freed": PHYMEM_PAGE_RECLAIM
            => (Rcx: At(Page(1))) -> Status::LIFECYCLE_STATE_INCORRECT,
            (Rcx: Is(3), Rdx: At(Tdr), R8: Is(0), R9: Is(0), R10: Is(0), R11: Is(0));
        "RCX is not aligned to 256": MR_EXTEND
            => (Rcx: Is(0x80), Rdx: At(Tdr)) -> invalid(Rcx), (Rcx: Is(0), Rdx: Is(0));
        "the GPA is shared": MR_EXTEND
            => (Rcx: Is(1 << 47), Rdx: At(Tdr)) -> invalid(Rcx), (Rcx: Is(0), Rdx: Is(0));
        "the GPA is wider than the TD's": MR_EXTEND
            => (Rcx: Is(1 << 48), Rdx: At(Tdr)) -> invalid(Rcx), (Rcx: Is(0), Rdx: Is(0));
        "the page is not accepted": MR_EXTEND
            => (Rcx: Is(0x1000), Rdx: At(Tdr)) -> Status::EPT_ENTRY_NOT_PRESENT.with_operand(Rcx),
            (Rcx: Past(Page(2), LEAF), Rdx: Is(info(0, state::PENDING)));
        "a page is there, and R8 is wrong": MEM_PAGE_AUG
            => (Rcx: Is(0x1000), Rdx: At(Tdr), R8: At(Tdr))
            -> Status::EPT_ENTRY_STATE_INCORRECT.with_operand(Rcx),
            (Rcx: Past(Page(2), LEAF), Rdx: Is(info(0, state::PENDING)));
        "a table is there": MEM_PAGE_AUG
            => (Rcx: Is(1), Rdx: At(Tdr), R8: At(Large(0)))
            -> Status::EPT_ENTRY_STATE_INCORRECT.with_operand(Rcx),
            (Rcx: Is(TABLE), Rdx: Is(info(1, state::NL_MAPPED)));
        "R8 is not aligned to the level": MEM_PAGE_AUG
            => (Rcx: Is(BIG | 1), Rdx: At(Tdr), R8: Past(Large(0), 0x1000)) -> invalid(R8),
            (Rcx: Is(0), Rdx: Is(0));
        "a 4 KiB page of it is in use": MEM_PAGE_AUG
            => (Rcx: Is(BIG | 1), Rdx: At(Tdr), R8: At(Large(3))) -> wrong_page(R8),
            (Rcx: Is(0), Rdx: Is(0));
    }

    /// A page of 2 MiB is pending.
    LARGE ["ABI-H 3.7"] {
        "it is in use as a part of 2 MiB": MEM_PAGE_AUG
            => (Rcx: Is(0x3000), Rdx: At(Tdr), R8: Past(Large(0), 0x1000)) -> wrong_page(R8),
            (Rcx: Is(0), Rdx: Is(0));
        "the walk stops at the larger page": MEM_PAGE_AUG
            => (Rcx: Is(BIG + 0x1000), Rdx: At(Tdr), R8: At(Page(3)))
            -> Status::EPT_WALK_FAILED.with_operand(Rcx),
            (Rcx: Past(Large(0), LEAF), Rdx: Is(info(1, state::PENDING)));
        "a part of a 2 MiB page": PHYMEM_PAGE_RDMD
            => (Rcx: Past(Large(0), 0x1F_F000)) -> Status::SUCCESS,
            (Rcx: Is(3), Rdx: At(Tdr), R8: Is(1), R9: Is(0), R10: Is(0), R11: Is(0));
        "a part of a 2 MiB page is not reclaimed": PHYMEM_PAGE_RECLAIM
            => (Rcx: Past(Large(0), 0x1000)) -> invalid(Rcx),
            (Rcx: Is(3), Rdx: At(Tdr), R8: Is(1), R9: Is(0), R10: Is(0), R11: Is(0));
        "the entry": MEM_SEPT_RD
            => (Rcx: Is(BIG | 1), Rdx: At(Tdr)) -> Status::SUCCESS,
            (Rcx: Past(Large(0), LEAF), Rdx: Is(info(1, state::PENDING)));
        "the walk stops at the larger page": MEM_SEPT_RD
            => (Rcx: Is(BIG), Rdx: At(Tdr)) -> Status::EPT_WALK_FAILED.with_operand(Rcx),
            (Rcx: Past(Large(0), LEAF), Rdx: Is(info(1, state::PENDING)));
    }
}
