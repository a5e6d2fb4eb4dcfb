//! TDG.SERVTD.RD and WR in a TD that is no service TD. [ABI-G 2.11]
//!
//! A handle is the TD's own TD_UUID, quadword 0, plus target TDR page and slot.

use abi::Gpr::{R8, R9, R10, Rcx, Rdx};
use abi::field::td;
use abi::leaf::tdg;
use conformance::Value::{Is, Past};

use super::{BAD_RCX, NONE};
use crate::conform::Place::Uuid;
use crate::conform::Row;

const RD: (&str, u64) = ("ABI-G 2.11", tdg::SERVTD_RD);
const WR: (&str, u64) = ("ABI-G 2.11", tdg::SERVTD_WR);

macro_rules! read {
    ($name:literal, $slot:expr, $id:expr) => {
        Row::new(
            RD,
            $name,
            &[(Rcx, Past(Uuid, $slot)), (Rdx, Is($id))],
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
            &[(Rcx, Past(Uuid, $slot)), (Rdx, Is($id)), (R9, Is(1)), (R10, Is(0))],
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
