//! The secure EPT of a TD that is being built. [ABI-H 3.7, 7.1]

use abi::Operand::{R8, R9, R10, R11, Rcx, Rdx};
use abi::Status;
use conformance::Value::{At, Is, Past};

use super::entry::{CODE, FREE, TABLE, info};
use super::{invalid, tables, wrong_page};
use crate::place::Place::{Sept, Tdr};

const V1: u64 = 1 << 16;
const NULL: u64 = u64::MAX;
/// Bit 63 of a page operand: of the output, that the page was not used.
const UNUSED: u64 = 1 << 63;
const CODE_1G: u64 = CODE & !0x3FFF_FFFF;

tables! {
    /// Before there is any table.
    ROOT ["ABI-H 3.7"] {
        "RDX bit 1 is reserved": MEM_SEPT_ADD
            => (Rcx: Is(3), Rdx: Past(Tdr, 2), R8: At(Sept(0))) -> invalid(Rdx),
            (Rcx: Is(0), Rdx: Is(0));
        "RDX bit 11 is reserved": MEM_SEPT_ADD
            => (Rcx: Is(3), Rdx: Past(Tdr, 1 << 11), R8: At(Sept(0))) -> invalid(Rdx),
            (Rcx: Is(0), Rdx: Is(0));
        "RDX bit 63 is reserved": MEM_SEPT_ADD
            => (Rcx: Is(3), Rdx: Past(Tdr, 1 << 63), R8: At(Sept(0))) -> invalid(Rdx),
            (Rcx: Is(0), Rdx: Is(0));
        "version 0 must add a page": MEM_SEPT_ADD
            => (Rcx: Is(3), Rdx: At(Tdr), R8: Is(NULL)) -> invalid(R8),
            (Rcx: Is(0), Rdx: Is(0));
        "version 1 may add none where one is, but the entry is free": MEM_SEPT_ADD + V1
            => (Rcx: Is(3), Rdx: At(Tdr), R8: Is(NULL), R9: Is(NULL), R10: Is(NULL), R11: Is(NULL))
            -> Status::EPT_ENTRY_STATE_INCORRECT.with_operand(Rcx),
            (Rcx: Is(FREE), Rdx: Is(info(3, 0)), R8: Is(NULL));
        "a page for a nested VM that the TD does not have": MEM_SEPT_ADD + V1
            => (Rcx: Is(3), Rdx: At(Tdr), R8: At(Sept(0)), R9: At(Sept(1)), R10: Is(NULL),
                R11: Is(NULL))
            -> invalid(R9), (Rcx: Is(0), Rdx: Is(0));
        "a page for the second nested VM": MEM_SEPT_ADD + V1
            => (Rcx: Is(3), Rdx: At(Tdr), R8: At(Sept(0)), R9: Is(NULL), R10: At(Sept(1)),
                R11: Is(NULL))
            -> invalid(R10), (Rcx: Is(0), Rdx: Is(0));
        "a page for the third nested VM": MEM_SEPT_ADD + V1
            => (Rcx: Is(3), Rdx: At(Tdr), R8: At(Sept(0)), R9: Is(NULL), R10: Is(NULL),
                R11: At(Sept(1)))
            -> invalid(R11), (Rcx: Is(0), Rdx: Is(0));
        "version 1 gives back the page operands without bit 63": MEM_SEPT_ADD + V1
            => (Rcx: Is(3), Rdx: At(Tdr), R8: Past(Tdr, UNUSED), R9: Past(Sept(1), UNUSED),
                R10: Is(NULL), R11: Is(NULL))
            -> wrong_page(R8), (Rcx: Is(0), Rdx: Is(0), R8: At(Tdr), R9: At(Sept(1)));
        "the root entry is free": MEM_SEPT_RD
            => (Rcx: Is(3), Rdx: At(Tdr)) -> Status::SUCCESS,
            (Rcx: Is(FREE), Rdx: Is(info(3, 0)));
        "only a debug TD shows attributes of nested VMs": MEM_SEPT_RD
            => (Rcx: Is(3), Rdx: Past(Tdr, 1)) -> invalid(Rdx), (Rcx: Is(0), Rdx: Is(0));
    }

    /// The root entry has a table.
    TABLES ["ABI-H 3.7"] {
        "the entry has a table": MEM_SEPT_ADD
            => (Rcx: Is(3), Rdx: At(Tdr), R8: At(Sept(1)))
            -> Status::EPT_ENTRY_STATE_INCORRECT.with_operand(Rcx),
            (Rcx: Is(TABLE), Rdx: Is(info(3, 0x84)));
        "the entry has a table, which is allowed": MEM_SEPT_ADD
            => (Rcx: Is(3), Rdx: Past(Tdr, 1), R8: At(Sept(1))) -> Status::SUCCESS,
            (Rcx: Is(0), Rdx: Is(0));
        "version 1 says that the page was not used": MEM_SEPT_ADD + V1
            => (Rcx: Is(3), Rdx: Past(Tdr, 1), R8: At(Sept(1)), R9: Is(NULL), R10: Is(NULL),
                R11: Is(NULL))
            -> Status::SUCCESS, (Rcx: Is(0), Rdx: Is(0), R8: Past(Sept(1), UNUSED));
        "the page is in use as a table": MEM_SEPT_ADD
            => (Rcx: Is(2), Rdx: At(Tdr), R8: At(Sept(0))) -> wrong_page(R8),
            (Rcx: Is(0), Rdx: Is(0));
        "the walk stops above": MEM_SEPT_ADD
            => (Rcx: Is(1), Rdx: At(Tdr), R8: At(Sept(1)))
            -> Status::EPT_WALK_FAILED.with_operand(Rcx),
            (Rcx: Is(FREE), Rdx: Is(info(2, 0)));
        "bit 63 of R8 is ignored": MEM_SEPT_ADD
            => (Rcx: Is(2), Rdx: At(Tdr), R8: Past(Sept(1), UNUSED)) -> Status::SUCCESS,
            (Rcx: Is(0), Rdx: Is(0));
        "version 1 says that the page was used": MEM_SEPT_ADD + V1
            => (Rcx: Is(CODE_1G | 2), Rdx: At(Tdr), R8: At(Sept(3)), R9: Is(NULL), R10: Is(NULL),
                R11: Is(NULL))
            -> Status::SUCCESS, (Rcx: Is(0), Rdx: Is(0), R8: Is(NULL));
        "the entry shows no address of its table": MEM_SEPT_RD
            => (Rcx: Is(2), Rdx: At(Tdr)) -> Status::SUCCESS,
            (Rcx: Is(TABLE), Rdx: Is(info(2, 0x84)));
        "a table": PHYMEM_PAGE_RDMD
            => (Rcx: At(Sept(0))) -> Status::SUCCESS,
            (Rcx: Is(8), Rdx: At(Tdr), R8: Is(0), R9: Is(0), R10: Is(0), R11: Is(0));
        "the page is a table": PHYMEM_PAGE_WBINVD
            => (Rcx: At(Sept(0))) -> wrong_page(Rcx);
    }
}
