//! TDH.SYS.CONFIG, the module's end, and numbers that are no leaf's. [ABI-H 1.5, 3.5]

use abi::leaf::tdh;
use abi::{Operand, Status};

use super::{
    DONE, Documented, EARLY, Leaf, OTHER_LEAVES, READY, Side, concat, invalid, leaf, total,
};

const SYS_BUSY: Documented =
    Documented::seen(Status::SYS_BUSY, "another processor is in such a leaf");

/// Of a TDMR_INFO. Byte 0 of the detail is the TDMR, byte 1 the page size or the area, byte 2
/// another TDMR; these are the ones of two TDMRs.
const TDMR: &[Documented] = &[
    tdmr(Status::INVALID_TDMR, 0, "base and size overflow or are not multiples of 1 GiB"),
    tdmr(Status::INVALID_TDMR, 1, "the second TDMR's base has an HKID or is too high"),
    tdmr(Status::NON_ORDERED_TDMR, 1, "the second TDMR is below the first or overlaps it"),
    tdmr(Status::NON_ORDERED_RESERVED_IN_TDMR, 0, "a reserved area follows a null area"),
    tdmr(Status::NON_ORDERED_RESERVED_IN_TDMR, 0x100, "the second area is not behind the first"),
    tdmr(Status::INVALID_RESERVED_IN_TDMR, 0x100, "the second area is not in the TDMR"),
    tdmr(Status::INVALID_PAMT, 0x200, "the 1 GiB PAMT is not aligned or overflows"),
    tdmr(Status::INVALID_PAMT, 0x100, "the 2 MiB PAMT is too small"),
    tdmr(Status::INVALID_PAMT, 1, "the second TDMR's 4 KiB PAMT has an HKID"),
    tdmr(Status::PAMT_OVERLAP, 1, "a PAMT overlaps one of the first TDMR"),
    tdmr(Status::PAMT_OVERLAP, 0x1_0101, "two PAMTs of the second TDMR overlap"),
    tdmr(Status::PAMT_OVERLAP, 0x200, "a PAMT is in memory for TDs"),
    tdmr(Status::PAMT_OVERLAP, 0x201, "the second TDMR's PAMT is in memory of the first"),
    tdmr(Status::PAMT_OUTSIDE_CMRS, 0x200, "a PAMT is where no memory is"),
    tdmr(Status::TDMR_OUTSIDE_CMRS, 1, "the second TDMR is where no memory is"),
];

const fn tdmr(status: Status, detail: u32, when: &'static str) -> Documented {
    Documented::seen(status.with_detail(detail), when)
}

const UNKNOWN: Documented = invalid(Operand::Rax, "there is no such leaf");

pub(super) const LEAVES: &[Leaf] = &[
    leaf!(
        tdh::SYS_CONFIG,
        "TDH.SYS.CONFIG",
        "ABI-H 3.5",
        EARLY,
        &[
            SYS_BUSY,
            Documented::seen(
                Status::SYS_CONFIG_NOT_PENDING,
                "SYS.INIT has not run, SYS.LP.INIT not on every processor, or this has"
            ),
            invalid(Operand::Rcx, "the array or a TDMR_INFO is not aligned or not shared memory"),
            invalid(Operand::Rdx, "the number of TDMRs is not 1 to 64"),
            invalid(Operand::R8, "the HKID is not a private one")
        ],
        TDMR,
        &[DONE],
    ),
    leaf!(tdh::SYS_LP_SHUTDOWN, "TDH.SYS.LP.SHUTDOWN", "ABI-H 3.5", &[EARLY[0], DONE],),
    leaf!(
        tdh::SYS_SHUTDOWN,
        "TDH.SYS.SHUTDOWN",
        "ABI-H 3.5",
        READY,
        &[invalid(Operand::Rcx, "the module does not have this handoff version"), SYS_BUSY, DONE],
    ),
    leaf!(
        tdh::SYS_UPDATE,
        "TDH.SYS.UPDATE",
        "ABI-H 3.5",
        EARLY,
        &[
            SYS_BUSY,
            Documented::seen(
                Status::SYS_STATE_INCORRECT,
                "SYS.LP.INIT has not run on every processor, or SYS.CONFIG has"
            ),
            Documented::seen(Status::SYS_INVALID_HANDOFF, "no module has left its state"),
            Documented::unseen(
                Status::SUCCESS,
                "the leaf did its work",
                "no module ran before this one"
            )
        ],
    ),
    leaf!(42, "TDH.MEM.SEPT.WR, which has no code", "ABI-H 1.5", &[UNKNOWN, EARLY[1]]),
    leaf!(48, "TDH.SERVTD.BIND, left out", "ABI-H 1.5, 9", &[UNKNOWN]),
    leaf!(64, "TDH.EXPORT.ABORT, left out", "ABI-H 1.5, 9", &[UNKNOWN]),
    leaf!(
        OTHER_LEAVES as u64,
        "all other numbers; with bit 63 of RAX, a P-SEAMLDR leaf",
        "ABI-H 1.2",
        &[UNKNOWN, Documented::seen(Status::SEAMCALL_VMFAILINVALID, "there is no P-SEAMLDR")],
    ),
];
