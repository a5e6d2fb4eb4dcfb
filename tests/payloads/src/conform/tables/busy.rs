//! OPERAND_BUSY: what a leaf answers while another CPU, or the host, has its lock.
//!
//! There is one CPU, so the module is told to answer so a number of times (`inject=`), after
//! its checks of RAX. [ABI-G 16.24]

use abi::Gpr::{R8, R9, Rcx, Rdx};
use abi::field::td;
use abi::leaf::tdg;
use abi::{Operand, Status};
use conformance::Value::{At, Is};

use super::NONE;
use crate::conform::Place::{Missing, Output, Page, Uuid};
use crate::conform::layout::page_of;
use crate::conform::{Row, When};

/// The page of the rows for ACCEPT, and RCX of the module's rule.
pub(crate) const ACCEPTED: u16 = page_of(tdg::MEM_PAGE_ACCEPT, 14);

const fn busy(operand: Operand) -> Status {
    Status::OPERAND_BUSY.with_operand(operand)
}

macro_rules! row {
    ($source:literal, $leaf:expr, $name:literal, $input:expr, $operand:ident, $output:expr) => {
        Row::new(($source, $leaf), $name, $input, busy(Operand::$operand), $output).when(When::Busy)
    };
}

/// Each leaf that can be busy, once.
pub(super) const ROWS: &[Row] = &[
    row!(
        "ABI-G 2.3",
        tdg::MR_RTMR_EXTEND,
        "the RTMRs are in use",
        &[(Rcx, At(Page)), (Rdx, Is(0))],
        Rtmr,
        &[]
    ),
    row!(
        "ABI-G 2.5",
        tdg::MR_REPORT,
        "the RTMRs are in use",
        &[(Rcx, At(Output)), (Rdx, At(Page)), (R8, Is(0))],
        Rtmr,
        &[]
    ),
    row!(
        "ABI-G 11",
        tdg::MEM_PAGE_ACCEPT,
        "the SEPT entry is in use",
        &[(Rcx, At(Missing(ACCEPTED)))],
        Rcx,
        &[]
    ),
    row!(
        "ABI-G 2.8",
        tdg::VM_WR,
        "the field changes meanwhile",
        &[(Rcx, Is(0)), (Rdx, Is(td::NOTIFY_ENABLES.0)), (R8, Is(1)), (R9, Is(1))],
        MetadataField,
        &[(R8, Is(0))]
    ),
    row!(
        "ABI-G 2.13",
        tdg::MEM_PAGE_ATTR_RD,
        "the SEPT entry is in use",
        &[(Rcx, At(Page))],
        Rcx,
        &[(Rcx, Is(0)), (Rdx, Is(0))]
    ),
    row!(
        "ABI-G 2.13",
        tdg::MEM_PAGE_ATTR_WR,
        "the SEPT entry is in use",
        &[(Rcx, At(Page)), (Rdx, Is(0)), (R8, Is(0))],
        Rcx,
        &[(Rcx, Is(0)), (Rdx, Is(0))]
    ),
];

/// What can be busy for TDG.SERVTD leaves, in the order of the module's rules.
macro_rules! servtd {
    ($leaf:expr, $name:literal, $operand:ident, $output:expr) => {
        row!(
            "ABI-G 2.11",
            $leaf,
            $name,
            &[(Rcx, At(Uuid(0))), (Rdx, Is(td::TD_CTLS.0))],
            $operand,
            $output
        )
    };
}

macro_rules! read {
    ($name:literal, $operand:ident) => {
        servtd!(tdg::SERVTD_RD, $name, $operand, &[(Rdx, Is(NONE)), (R8, Is(0))])
    };
}

macro_rules! write {
    ($name:literal, $operand:ident) => {
        servtd!(tdg::SERVTD_WR, $name, $operand, &[(R8, Is(0))])
    };
}

pub(super) const SERVTD: &[Row] = &[
    read!("the target's TDR is in use", Tdr),
    read!("the target changes its state", OpState),
    read!("the target's bindings change", ServtdBindings),
    read!("the RTMRs are in use", Rtmr),
    write!("the target's TDR is in use", Tdr),
    write!("the target changes its state", OpState),
    write!("the target's bindings change", ServtdBindings),
    write!("the RTMRs are in use", Rtmr),
];
