//! TDG.VP.VMCALL. [ABI-G 4]
//!
//! The VMM is the one of the emulator: it answers GetTdVmCallInfo with zeros in R10-R14 and
//! returns every other register as it got it.

use abi::Gpr::{R10, R11, R12, R13, R14, Rcx};
use abi::ghci::function::GET_TD_VMCALL_INFO;
use abi::leaf::tdg;
use conformance::Value::Is;

use super::{BAD_RCX, OK};
use crate::conform::Row;

const LEAF: (&str, u64) = ("ABI-G 4", tdg::VP_VMCALL);
/// R10-R14.
const INFO: u64 = 0x7C00;
/// Every register that may be passed: without RAX, RCX, RSP, and RBP.
const ALL: u64 = 0xFFCC;

/// GetTdVmCallInfo with a mask that is forbidden. Had it been made, R11 would be zero.
macro_rules! forbidden {
    ($name:expr, $bits:expr) => {
        Row::new(
            LEAF,
            $name,
            &[(Rcx, Is(INFO | $bits)), (R10, Is(0)), (R11, Is(GET_TD_VMCALL_INFO)), (R12, Is(0))],
            BAD_RCX,
            &[],
        )
    };
}

/// A bit of RCX that is no register.
macro_rules! reserved {
    ($bit:literal) => {
        forbidden!(concat!("RCX bit ", $bit), 1 << $bit)
    };
}

/// GetTdVmCallInfo with a mask that passes what it needs.
macro_rules! allowed {
    ($name:literal, $mask:expr, $output:expr) => {
        Row::new(
            LEAF,
            $name,
            &[(Rcx, Is($mask)), (R10, Is(0)), (R11, Is(GET_TD_VMCALL_INFO)), (R12, Is(0))],
            OK,
            $output,
        )
    };
}

pub(super) const ROWS: &[Row] = &[
    forbidden!("RAX may not be passed", 1 << 0),
    forbidden!("RCX may not be passed", 1 << 1),
    forbidden!("RSP may not be passed", 1 << 4),
    forbidden!("RBP may not be passed with NO_RBP_MOD", 1 << 5),
    reserved!(32),
    reserved!(33),
    reserved!(34),
    reserved!(35),
    reserved!(36),
    reserved!(37),
    reserved!(38),
    reserved!(39),
    reserved!(40),
    reserved!(41),
    reserved!(42),
    reserved!(43),
    reserved!(44),
    reserved!(45),
    reserved!(46),
    reserved!(47),
    reserved!(48),
    reserved!(49),
    reserved!(50),
    reserved!(51),
    reserved!(52),
    reserved!(53),
    reserved!(54),
    reserved!(55),
    reserved!(56),
    reserved!(57),
    reserved!(58),
    reserved!(59),
    reserved!(60),
    reserved!(61),
    reserved!(62),
    reserved!(63),
    forbidden!("two forbidden bits", 1 << 0 | 1 << 63),
    forbidden!("all bits of RCX", u64::MAX),
    allowed!(
        "registers of the mask come back from the VMM",
        INFO,
        &[(R10, Is(0)), (R11, Is(0)), (R12, Is(0)), (R13, Is(0)), (R14, Is(0))]
    ),
    allowed!(
        "registers outside the mask come back as they were",
        1 << 10 | 1 << 11,
        &[(R10, Is(0)), (R11, Is(0))]
    ),
    allowed!(
        "every register that may be passed",
        ALL,
        &[(R10, Is(0)), (R11, Is(0)), (R12, Is(0)), (R13, Is(0)), (R14, Is(0))]
    ),
    allowed!("an empty mask", 0, &[]),
    allowed!("XMM registers alone", 0xFFFF_0000, &[]),
    allowed!(
        "XMM registers too",
        INFO | 1 << 16 | 1 << 31,
        &[(R10, Is(0)), (R11, Is(0)), (R12, Is(0)), (R13, Is(0)), (R14, Is(0))]
    ),
];
