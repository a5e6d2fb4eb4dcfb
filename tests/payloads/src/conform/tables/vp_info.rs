//! TDG.VP.INFO. [ABI-G 2.2]

use abi::Gpr::{R8, R9, R10, R11, Rcx, Rdx};
use abi::leaf::tdg;
use conformance::Value::{At, Is};

use super::OK;
use crate::conform::Place::{Attributes, GpaBits};
use crate::conform::Row;

const LEAF: (&str, u64) = ("ABI-G 2.2", tdg::VP_INFO);

/// One vCPU of one; SYS.RD exists.
macro_rules! info {
    ($name:literal, $input:expr) => {
        Row::new(
            LEAF,
            $name,
            $input,
            OK,
            &[
                (Rcx, At(GpaBits)),
                (Rdx, At(Attributes)),
                (R8, Is(1 << 32 | 1)),
                (R9, Is(0)),
                (R10, Is(1)),
                (R11, Is(0)),
            ],
        )
    };
}

pub(super) const ROWS: &[Row] = &[
    info!("what the TD is", &[]),
    info!("inputs do not matter", &[(Rcx, Is(u64::MAX)), (Rdx, Is(1)), (R8, Is(u64::MAX))]),
];
