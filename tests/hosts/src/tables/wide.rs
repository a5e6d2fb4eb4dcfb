//! A TD with 52 address bits and five levels. [ABI-H 3.2, 4.2]

use abi::Operand::Rcx;
use abi::Status;
use conformance::Value::{At, Is};

use super::entry::{FREE, info};
use super::{invalid, tables};
use crate::place::Place::{Sept, Tdr};

tables! {
    /// Nothing is mapped.
    WIDE ["ABI-H 3.2"] {
        "the root entry has level 4": MEM_SEPT_RD
            => (Rcx: Is(4), Rdx: At(Tdr)) -> Status::SUCCESS,
            (Rcx: Is(FREE), Rdx: Is(info(4, 0)));
        "there is no level 5": MEM_SEPT_RD
            => (Rcx: Is(5), Rdx: At(Tdr)) -> invalid(Rcx), (Rcx: Is(0), Rdx: Is(0));
        "bit 51 is the shared bit": MEM_SEPT_RD
            => (Rcx: Is(1 << 51), Rdx: At(Tdr)) -> invalid(Rcx), (Rcx: Is(0), Rdx: Is(0));
        "bit 47 is an address bit": MEM_SEPT_RD
            => (Rcx: Is(1 << 47), Rdx: At(Tdr)) -> Status::EPT_WALK_FAILED.with_operand(Rcx),
            (Rcx: Is(FREE), Rdx: Is(info(4, 0)));
        "level 4": MEM_SEPT_ADD
            => (Rcx: Is(4), Rdx: At(Tdr), R8: At(Sept(0))) -> Status::SUCCESS,
            (Rcx: Is(0), Rdx: Is(0));
        "level 5": MEM_SEPT_ADD
            => (Rcx: Is(5), Rdx: At(Tdr), R8: At(Sept(1))) -> invalid(Rcx),
            (Rcx: Is(0), Rdx: Is(0));
        "GPAW": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(abi::field::td::GPAW.0)) -> Status::SUCCESS, (R8: Is(1));
    }
}
