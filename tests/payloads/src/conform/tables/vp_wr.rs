//! TDG.VP.WR. [ABI-G 2.9, 12]

use abi::Gpr::{R8, R9, Rcx, Rdx};
use abi::field::{FieldId, vp};
use abi::leaf::tdg;
use conformance::Value::Is;
use tdcall::guest::vp_rd;

use super::vp_rd::{L2_CTLS, TSC_DEADLINE};
use super::{BAD_ID, BAD_RCX, NOT_VALID, NOT_WRITABLE, OK, is};
use crate::conform::Row;

const LEAF: (&str, u64) = ("ABI-G 2.9", tdg::VP_WR);
const USER: u64 = vp::CPUID_USER_VE.0;
const CONTROL: u64 = vp::CPUID_CONTROL.0;
const ALL: u64 = u64::MAX;

macro_rules! write {
    ($name:literal, $id:expr, $value:expr, $mask:expr, $status:expr, $old:expr) => {
        Row::new(
            LEAF,
            $name,
            &[(Rcx, Is(0)), (Rdx, Is($id)), (R8, Is($value)), (R9, Is($mask))],
            $status,
            &[(R8, Is($old))],
        )
    };
}

macro_rules! refused {
    ($name:literal, $id:expr, $value:expr, $mask:expr, $status:expr) => {
        write!($name, $id, $value, $mask, $status, 0)
    };
}

/// The write can be read back.
fn holds(id: u64, value: u64) -> Result<(), &'static str> {
    is(vp_rd(FieldId(id)) == Ok(value), "VP.RD gives another value")
}

pub(super) const ROWS: &[Row] = &[
    Row::new(
        LEAF,
        "RCX is 1",
        &[(Rcx, Is(1)), (Rdx, Is(USER)), (R9, Is(1))],
        BAD_RCX,
        &[(R8, Is(0))],
    ),
    Row::new(
        LEAF,
        "RCX comes before the id",
        &[(Rcx, Is(1 << 63)), (Rdx, Is(1 << 24))],
        BAD_RCX,
        &[(R8, Is(0))],
    ),
    refused!("the null id", ALL, 0, 1, BAD_ID),
    refused!("id bit 24", USER | 1 << 24, 0, 1, BAD_ID),
    refused!("id bit 31", USER | 1 << 31, 0, 1, BAD_ID),
    refused!("LAST_ELEMENT", USER | 1 << 37, 0, 1, BAD_ID),
    refused!("LAST_FIELD", USER | 1 << 38, 0, 1, BAD_ID),
    refused!("id bit 49", USER | 1 << 49, 0, 1, BAD_ID),
    refused!("id bit 55", USER | 1 << 55, 0, 1, BAD_ID),
    refused!("id bit 62", USER | 1 << 62, 0, 1, BAD_ID),
    refused!("a code that does not exist", USER | 0xFF_FFFF, 0, 1, BAD_ID),
    refused!("L2_MSR_BITMAPS of a VM that does not exist", 0x2520_0003_0000_0000, 0, ALL, BAD_ID),
    refused!("VCPU_INDEX", vp::VCPU_INDEX.0, 0, ALL, NOT_WRITABLE),
    refused!("SHARED_EPTP, the VMM's", vp::SHARED_EPTP.0, 0, ALL, NOT_WRITABLE),
    refused!("PEND_NMI, the VMM's", vp::PEND_NMI.0, 1, 1, NOT_WRITABLE),
    refused!("VCPU_EPOCH, which is not readable either", vp::VCPU_EPOCH.0, 0, ALL, NOT_WRITABLE),
    refused!("an empty mask", USER, 1, 0, NOT_WRITABLE),
    refused!("a mask outside of the element", USER, 0, 1 << 8, NOT_WRITABLE),
    refused!("CPUID_CONTROL bit 2", CONTROL, 4, 4, NOT_WRITABLE),
    refused!("L2_CTLS bit 3", L2_CTLS.0, 8, 8, NOT_WRITABLE),
    refused!("a bit outside of the element would change", USER, 1 << 8, ALL, NOT_VALID)
        .then(|_, _| holds(USER, 0)),
    refused!("CPUID_CONTROL bit 7 would change", CONTROL, 0x80, ALL, NOT_VALID)
        .then(|_, _| holds(CONTROL, 0)),
    refused!("L2_CTLS bit 63 would change", L2_CTLS.0, 1 << 63 | 1, ALL, NOT_VALID)
        .then(|_, _| holds(L2_CTLS.0, 0)),
    write!("CPUID_USER_VE", USER, 0xFF, 0xFF, OK, 0).then(|_, _| holds(USER, 0xFF)),
    write!("some of its bits", USER, 0, 0x0F, OK, 0xFF).then(|_, _| holds(USER, 0xF0)),
    write!("all of them, with a full mask", USER, 0, ALL, OK, 0xF0).then(|_, _| holds(USER, 0)),
    write!("CPUID_CONTROL, #VE in user mode", CONTROL + 15, 2, 3, OK, 0)
        .then(|_, _| holds(CONTROL + 15, 2)),
    write!("CPUID_CONTROL as it was", CONTROL + 15, 0, 3, OK, 2)
        .then(|_, _| holds(CONTROL + 15, 0)),
    write!("L2_CTLS of VM 0", L2_CTLS.0, 7, 7, OK, 0).then(|_, _| holds(L2_CTLS.0, 7)),
    write!("L2_CTLS as it was", L2_CTLS.0, 0, ALL, OK, 7).then(|_, _| holds(L2_CTLS.0, 0)),
    write!("L2_CTLS of a VM that does not exist", L2_CTLS.0 + 3, 1, 1, OK, 0)
        .then(|_, _| holds(L2_CTLS.0 + 3, 1)),
    write!("TSC_DEADLINE of VM 0", TSC_DEADLINE.0, 5, ALL, OK, ALL)
        .then(|_, _| holds(TSC_DEADLINE.0, 5)),
    write!("TSC_DEADLINE as it was", TSC_DEADLINE.0, ALL, ALL, OK, 5)
        .then(|_, _| holds(TSC_DEADLINE.0, ALL)),
    write!("TSC_DEADLINE of a VM that does not exist", TSC_DEADLINE.0 + 1, 9, ALL, OK, 0)
        .then(|_, _| holds(TSC_DEADLINE.0 + 1, 9)),
];
