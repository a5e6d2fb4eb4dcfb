//! TDG.VP.INVEPT in a TD without nested VMs. [ABI-G 2.14]

use abi::Gpr::Rcx;
use abi::leaf::tdg;
use conformance::Value::Is;

use super::{BAD_RCX, OK};
use crate::conform::Row;

const LEAF: (&str, u64) = ("ABI-G 2.14", tdg::VP_INVEPT);

macro_rules! refused {
    ($name:literal, $vms:expr) => {
        Row::new(LEAF, $name, &[(Rcx, Is($vms))], BAD_RCX, &[])
    };
}

pub(super) const ROWS: &[Row] = &[
    refused!("VM 0", 1 << 0),
    refused!("VM 1, which does not exist", 1 << 1),
    refused!("VM 2, which does not exist", 1 << 2),
    refused!("VM 3, which does not exist", 1 << 3),
    refused!("RCX bit 4", 1 << 4),
    refused!("RCX bit 32", 1 << 32),
    refused!("RCX bit 63", 1 << 63),
    refused!("all bits", u64::MAX),
    Row::new(LEAF, "no VM", &[(Rcx, Is(0))], OK, &[]),
];
