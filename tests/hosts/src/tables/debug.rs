//! A TD that its host may look into: ATTRIBUTES.DEBUG. [ABI-H 3.8, 4.6, 4.7]
//!
//! At [`CODE`] there is the guest's code; the page below the tables is pending.

use abi::Operand::Rcx;
use abi::Status;
use abi::field::td;
use conformance::Value::{At, Is, Past};

use super::entry::{CODE, FREE, LEAF, MAPPED, info, state};
use super::{invalid, tables};
use crate::place::Place::{Page, Tdr, Tdvpr};

/// GPA of a page that is not accepted.
pub const PENDING: u64 = CODE - 0x3000;
/// GPA where nothing is.
const NOTHING: u64 = CODE - 0x4000;
/// Guest RBX.
const GUEST_RBX: u64 = 0x1020_0003_0000_0003;

tables! {
    /// A TD that is none.
    NO_DEBUG ["ABI-H 3.8"] {
        "it is no debug TD, and RCX is wrong": MEM_RD
            => (Rcx: Is(1), Rdx: At(Tdr)) -> Status::TD_NON_DEBUG,
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0));
        "it is no debug TD, and RCX is wrong": MEM_WR
            => (Rcx: Is(1), Rdx: At(Tdr), R8: Is(7)) -> Status::TD_NON_DEBUG,
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0));
    }

    /// The guest did not run yet.
    DEBUG ["ABI-H 3.8"] {
        "RCX is not aligned to 8": MEM_RD
            => (Rcx: Is(CODE + 4), Rdx: At(Tdr)) -> invalid(Rcx),
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0));
        "the GPA is shared": MEM_RD
            => (Rcx: Is(1 << 47 | CODE), Rdx: At(Tdr)) -> invalid(Rcx),
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0));
        "the GPA is wider than the TD's": MEM_RD
            => (Rcx: Is(1 << 48), Rdx: At(Tdr)) -> invalid(Rcx),
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0));
        "RCX bit 63 is reserved": MEM_RD
            => (Rcx: Is(1 << 63), Rdx: At(Tdr)) -> invalid(Rcx),
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0));
        "no table is there": MEM_RD
            => (Rcx: Is(0), Rdx: At(Tdr)) -> Status::EPT_ENTRY_NOT_PRESENT.with_operand(Rcx),
            (Rcx: Is(FREE), Rdx: Is(info(2, 0)), R8: Is(0));
        "nothing is mapped there": MEM_RD
            => (Rcx: Is(NOTHING), Rdx: At(Tdr)) -> Status::EPT_ENTRY_NOT_PRESENT.with_operand(Rcx),
            (Rcx: Is(FREE), Rdx: Is(info(0, 0)), R8: Is(0));
        "the page is not accepted": MEM_RD
            => (Rcx: Is(PENDING), Rdx: At(Tdr)) -> Status::EPT_ENTRY_NOT_PRESENT.with_operand(Rcx),
            (Rcx: Past(Page(7), LEAF), Rdx: Is(info(0, state::PENDING)), R8: Is(0));
        "RCX is not aligned to 8": MEM_WR
            => (Rcx: Is(CODE + 1), Rdx: At(Tdr), R8: Is(7)) -> invalid(Rcx),
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0));
        "the GPA is shared": MEM_WR
            => (Rcx: Is(1 << 47 | CODE), Rdx: At(Tdr), R8: Is(7)) -> invalid(Rcx),
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0));
        "the page is not accepted": MEM_WR
            => (Rcx: Is(PENDING), Rdx: At(Tdr), R8: Is(7))
            -> Status::EPT_ENTRY_NOT_PRESENT.with_operand(Rcx),
            (Rcx: Past(Page(7), LEAF), Rdx: Is(info(0, state::PENDING)), R8: Is(0));
        "attributes of nested VMs, of which there are none": MEM_SEPT_RD
            => (Rcx: Is(CODE), Rdx: Past(Tdr, 1)) -> Status::SUCCESS,
            (Rcx: Past(Page(4), MAPPED), Rdx: Is(info(0, state::MAPPED)), R8: Is(0));
        "RTMR 0": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::RTMR.0)) -> Status::SUCCESS, (R8: Is(0));
        "RBX is the width of addresses": VP_RD
            => (Rcx: At(Tdvpr(0)), Rdx: Is(GUEST_RBX)) -> Status::SUCCESS, (R8: Is(48));
    }
}
