//! Leaves that build a TD's memory, and read and write it. [ABI-H 3.7, 3.8]

use abi::leaf::tdh;
use abi::{Operand, Status};

use super::{
    DONE, Documented, Leaf, MIGRATION, NESTED, READY, STATE, STATE_ALONE, Side, WALK, concat,
    invalid, leaf, of_rcx, page, total,
};

const ENTRY: Documented =
    of_rcx(Status::EPT_ENTRY_STATE_INCORRECT, "the entry is in another state");
const NOT_PRESENT: Documented = of_rcx(Status::EPT_ENTRY_NOT_PRESENT, "no page is mapped there");
const NO_DEBUG: Documented = Documented::seen(Status::TD_NON_DEBUG, "the TD is no debug TD");
/// Of MEM.RD and MEM.WR, after the TD's state.
const DEBUG: &[Documented] = &[
    NO_DEBUG,
    invalid(Operand::Rcx, "the GPA is not aligned to 8 or not private"),
    WALK[1],
    NOT_PRESENT,
    WALK[3],
    Documented::unseen(
        Status::EPT_ENTRY_STATE_INCORRECT.with_operand(Operand::Rcx),
        "the page is mapped, but in another state",
        MIGRATION,
    ),
    DONE,
];

pub(super) const LEAVES: &[Leaf] = &[
    leaf!(
        tdh::MEM_SEPT_ADD,
        "TDH.MEM.SEPT.ADD",
        "ABI-H 3.7",
        READY,
        &page(Operand::Rdx),
        STATE,
        WALK,
        &[ENTRY],
        &page(Operand::R8),
        &[
            invalid(Operand::R9, "a page for a nested VM that is not there"),
            invalid(Operand::R10, "as above"),
            invalid(Operand::R11, "as above"),
            Documented::unseen(
                Status::L2_SEPT_WALK_FAILED,
                "the nested VM's walk stops above",
                NESTED
            ),
            Documented::unseen(
                Status::L2_SEPT_ENTRY_NOT_FREE,
                "the nested VM's entry is not free",
                NESTED
            ),
            Documented::unseen(
                Status::INTERRUPTED_RESUMABLE,
                "an interrupt came between two pages",
                NESTED
            ),
            DONE
        ],
    ),
    leaf!(
        tdh::MEM_PAGE_ADD,
        "TDH.MEM.PAGE.ADD",
        "ABI-H 3.7",
        READY,
        &page(Operand::Rdx),
        STATE_ALONE,
        &[
            WALK[0],
            WALK[2],
            ENTRY,
            invalid(Operand::R9, "the source is not a page of shared memory")
        ],
        &page(Operand::R8),
        &[DONE],
    ),
    leaf!(
        tdh::MEM_PAGE_AUG,
        "TDH.MEM.PAGE.AUG",
        "ABI-H 3.7",
        READY,
        &page(Operand::Rdx),
        STATE,
        WALK,
        &[ENTRY],
        &page(Operand::R8),
        &[DONE],
    ),
    leaf!(
        tdh::MR_EXTEND,
        "TDH.MR.EXTEND",
        "ABI-H 3.7",
        READY,
        &page(Operand::Rdx),
        STATE_ALONE,
        &[
            invalid(Operand::Rcx, "the GPA is not aligned to 256 or not private"),
            NOT_PRESENT,
            Documented::unseen(
                Status::EPT_ENTRY_NOT_PRESENT,
                "the page is mapped, but in another state",
                MIGRATION
            ),
            DONE
        ],
    ),
    leaf!(
        tdh::MR_FINALIZE,
        "TDH.MR.FINALIZE",
        "ABI-H 3.7",
        READY,
        &page(Operand::Rcx),
        STATE_ALONE,
        &[Documented::seen(Status::NO_VCPUS, "no vCPU is initialised"), DONE],
    ),
    leaf!(
        tdh::MEM_SEPT_RD,
        "TDH.MEM.SEPT.RD",
        "ABI-H 3.8",
        READY,
        &page(Operand::Rdx),
        STATE,
        WALK,
        &[DONE],
    ),
    leaf!(tdh::MEM_RD, "TDH.MEM.RD", "ABI-H 3.8", READY, &page(Operand::Rdx), STATE, DEBUG,),
    leaf!(tdh::MEM_WR, "TDH.MEM.WR", "ABI-H 3.8", READY, &page(Operand::Rdx), STATE, DEBUG,),
];
