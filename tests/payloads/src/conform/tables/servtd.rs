//! TDG.SERVTD.RD and WR in a TD that is no service TD. [ABI-G 2.11]
//!
//! A handle is the TD's own TD_UUID, quadword 0, plus target TDR page and slot. The module
//! looks at the target before it looks whether anything is bound, so a TD can ask about
//! itself: its root page is found by trying (`target`).

use abi::Gpr::{R8, R9, R10, R11, R12, R13, Rcx, Rdx};
use abi::field::td;
use abi::leaf::tdg;
use abi::{Operand, Status};
use conformance::Value::{At, Is, Past};

use super::{BAD_RCX, NONE};
use crate::conform::Place::{Handle, NoHandle, Uuid};
use crate::conform::{Row, When};

const RD: (&str, u64) = ("ABI-G 2.11", tdg::SERVTD_RD);
const WR: (&str, u64) = ("ABI-G 2.11", tdg::SERVTD_WR);

macro_rules! read {
    ($name:literal, $slot:expr, $id:expr) => {
        Row::new(
            RD,
            $name,
            &[(Rcx, Past(Uuid(0), $slot)), (Rdx, Is($id))],
            BAD_RCX,
            &[(Rdx, Is(NONE)), (R8, Is(0))],
        )
    };
}

macro_rules! write {
    ($name:literal, $slot:expr, $id:expr) => {
        Row::new(
            WR,
            $name,
            &[(Rcx, Past(Uuid(0), $slot)), (Rdx, Is($id)), (R9, Is(1)), (R10, Is(0))],
            BAD_RCX,
            &[(R8, Is(0))],
        )
    };
}

pub(super) const ROWS: &[Row] = &[
    read!("slot 1", 1, td::ATTRIBUTES.0),
    read!("slot 2", 2, td::ATTRIBUTES.0),
    read!("slot 2048", 2048, td::ATTRIBUTES.0),
    read!("slot 4095", 4095, td::ATTRIBUTES.0),
    read!("slot 1 of a target", 0x1234_5001, td::ATTRIBUTES.0),
    read!("the slot comes before the id", 1, 1 << 24),
    read!("the slot comes before the null id", 1, NONE),
    write!("slot 1", 1, td::TD_CTLS.0),
    write!("slot 4095", 4095, td::TD_CTLS.0),
    write!("slot 1 of a target", 0x1234_5001, td::TD_CTLS.0),
    write!("the slot comes before the id", 1, 1 << 24),
];

const NOT_BOUND: Status = Status::SERVTD_NOT_BOUND;
const BAD_TDR: Status = Status::OPERAND_INVALID.with_operand(Operand::Tdr);
const NO_TDMR: Status = Status::OPERAND_ADDR_RANGE_ERROR.with_operand(Operand::Tdr);
const NOT_A_TDR: Status = Status::PAGE_METADATA_INCORRECT.with_operand(Operand::Tdr);
const OTHER_UUID: Status = Status::TARGET_UUID_MISMATCH;

/// A handle, a UUID, and what stands in R10-R13 afterwards.
macro_rules! target {
    ($leaf:expr, $name:literal, $handle:expr, $uuid:expr, $status:expr, $output:expr) => {
        Row::new(
            $leaf,
            $name,
            &[
                (Rcx, $handle),
                (Rdx, Is(td::TD_CTLS.0)),
                (R10, $uuid[0]),
                (R11, $uuid[1]),
                (R12, $uuid[2]),
                (R13, $uuid[3]),
            ],
            $status,
            $output,
        )
        .when(When::CrossTd)
    };
}

/// RDX and R8 of a read, R8 of a write, whatever comes of it.
macro_rules! read_target {
    ($name:literal, $handle:expr, $uuid:expr, $status:expr) => {
        target!(RD, $name, $handle, $uuid, $status, &[(Rdx, Is(NONE)), (R8, Is(0))])
    };
}

macro_rules! write_target {
    ($name:literal, $handle:expr, $uuid:expr, $status:expr) => {
        target!(WR, $name, $handle, $uuid, $status, &[(R8, Is(0))])
    };
}

type Uuids = [conformance::Value<crate::conform::Place>; 4];

const OWN: Uuids = [At(Uuid(0)), At(Uuid(1)), At(Uuid(2)), At(Uuid(3))];
const OTHER: Uuids = [At(Uuid(0)), At(Uuid(1)), At(Uuid(2)), Past(Uuid(3), 1)];
/// What the UUID before an import is in a TD that was not imported.
const ZERO: Uuids = [Is(0), Is(0), Is(0), Is(0)];

/// The TD asks about itself. [ABI-G 2.11]
pub(super) const CROSS_TD: &[Row] = &[
    read_target!("a target in no TDMR", Past(Uuid(0), 1 << 36), OWN, NO_TDMR),
    read_target!("a target in what a TDMR leaves out", Past(Uuid(0), 0), OWN, NOT_A_TDR),
    read_target!("a target with a key of its own", Past(Uuid(0), 1 << 51), OWN, BAD_TDR),
    read_target!("a target that is no TDR", At(NoHandle), OWN, NOT_A_TDR),
    read_target!("the target comes before the UUID", At(NoHandle), OTHER, NOT_A_TDR),
    read_target!("another UUID", At(Handle), OTHER, OTHER_UUID),
    target!(
        RD,
        "the UUID before an import",
        At(Handle),
        ZERO,
        Status::TARGET_UUID_UPDATED,
        &[
            (Rdx, Is(NONE)),
            (R8, Is(0)),
            (R10, At(Uuid(0))),
            (R11, At(Uuid(1))),
            (R12, At(Uuid(2))),
            (R13, At(Uuid(3))),
        ]
    ),
    read_target!("nothing is bound", At(Handle), OWN, NOT_BOUND),
    read_target!("the slot comes before the target", Past(NoHandle, 1), OWN, BAD_RCX),
    write_target!("a target in no TDMR", Past(Uuid(0), 1 << 36), OWN, NO_TDMR),
    write_target!("a target with a key of its own", Past(Uuid(0), 1 << 51), OWN, BAD_TDR),
    write_target!("a target that is no TDR", At(NoHandle), OWN, NOT_A_TDR),
    write_target!("another UUID", At(Handle), OTHER, OTHER_UUID),
    target!(
        WR,
        "the UUID before an import",
        At(Handle),
        ZERO,
        Status::TARGET_UUID_UPDATED,
        &[
            (R8, Is(0)),
            (R10, At(Uuid(0))),
            (R11, At(Uuid(1))),
            (R12, At(Uuid(2))),
            (R13, At(Uuid(3))),
        ]
    ),
    write_target!("nothing is bound", At(Handle), OWN, NOT_BOUND),
];
