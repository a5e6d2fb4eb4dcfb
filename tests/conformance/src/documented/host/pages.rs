//! Leaves that manage the memory of a TD that may run. [ABI-H 3.8]

use abi::leaf::tdh;
use abi::{Operand, Status};

use super::{
    DONE, Documented, Leaf, NESTED, READY, STATE, Side, TRACKED, WALK, busy, concat, leaf, of_rcx,
    page, total,
};

const ENTRY: Documented =
    of_rcx(Status::EPT_ENTRY_STATE_INCORRECT, "the entry is in another state");
const INTERRUPTED: Documented =
    Documented::seen(Status::INTERRUPTED_RESTARTABLE, "an interrupt came");

pub(super) const LEAVES: &[Leaf] = &[
    leaf!(
        tdh::MEM_RANGE_BLOCK,
        "TDH.MEM.RANGE.BLOCK",
        "ABI-H 3.8",
        READY,
        &page(Operand::Rdx),
        STATE,
        WALK,
        &[of_rcx(Status::GPA_RANGE_ALREADY_BLOCKED, "the range is blocked"), ENTRY, DONE],
    ),
    leaf!(
        tdh::MEM_RANGE_UNBLOCK,
        "TDH.MEM.RANGE.UNBLOCK",
        "ABI-H 3.8",
        READY,
        &page(Operand::Rdx),
        STATE,
        WALK,
        &[
            ENTRY,
            Documented::seen(
                Status::TLB_TRACKING_NOT_DONE.with_operand(Operand::SeptTree),
                "the TD may run, and no TRACK followed the blocking"
            ),
            DONE
        ],
    ),
    leaf!(
        tdh::MEM_TRACK,
        "TDH.MEM.TRACK",
        "ABI-H 3.8",
        READY,
        &page(Operand::Rcx),
        STATE,
        &[
            busy(Operand::TdEpoch, "the epoch is locked"),
            Documented::seen(
                Status::PREVIOUS_TLB_EPOCH_BUSY,
                "a vCPU has not left the TD since the last TRACK"
            ),
            DONE
        ],
    ),
    leaf!(
        tdh::MEM_PAGE_REMOVE,
        "TDH.MEM.PAGE.REMOVE",
        "ABI-H 3.8",
        READY,
        &page(Operand::Rdx),
        STATE,
        WALK,
        &[ENTRY],
        TRACKED,
        &[DONE],
    ),
    leaf!(
        tdh::MEM_SEPT_REMOVE,
        "TDH.MEM.SEPT.REMOVE",
        "ABI-H 3.8",
        READY,
        &page(Operand::Rdx),
        STATE,
        WALK,
        &[ENTRY],
        TRACKED,
        &[of_rcx(Status::EPT_PAGE_NOT_FREE, "the table has an entry that is not free"), DONE],
    ),
    leaf!(
        tdh::MEM_PAGE_RELOCATE,
        "TDH.MEM.PAGE.RELOCATE",
        "ABI-H 3.8",
        READY,
        &page(Operand::Rdx),
        STATE,
        WALK,
        &[ENTRY],
        TRACKED,
        &page(Operand::R8),
        &[DONE],
    ),
    leaf!(
        tdh::MEM_PAGE_DEMOTE,
        "TDH.MEM.PAGE.DEMOTE",
        "ABI-H 3.8",
        READY,
        &page(Operand::Rdx),
        STATE,
        WALK,
        &[ENTRY],
        TRACKED,
        &page(Operand::R8),
        &[
            Documented::unseen(
                Status::L2_SEPT_PAGE_NOT_PROVIDED.with_operand(Operand::R9),
                "a nested VM's table needs a page too",
                NESTED
            ),
            INTERRUPTED,
            DONE
        ],
    ),
    leaf!(
        tdh::MEM_PAGE_PROMOTE,
        "TDH.MEM.PAGE.PROMOTE",
        "ABI-H 3.8",
        READY,
        &page(Operand::Rdx),
        STATE,
        WALK,
        &[ENTRY],
        TRACKED,
        &[
            of_rcx(Status::EPT_INVALID_PROMOTE_CONDITIONS, "the pages are not 512 alike in a row"),
            INTERRUPTED,
            DONE
        ],
    ),
];
