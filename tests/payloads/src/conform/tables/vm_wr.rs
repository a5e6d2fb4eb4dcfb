//! TDG.VM.WR. [ABI-G 2.8, 12]

use abi::Gpr::{R8, R9, Rcx, Rdx};
use abi::field::td;
use abi::leaf::tdg;
use conformance::Value::{At, Is, Past};
use tdcall::guest::vm_rd;

use super::{BAD_ID, BAD_RCX, NOT_READABLE, NOT_VALID, NOT_WRITABLE, OK, is};
use crate::conform::Place::TdCtls;
use crate::conform::{Row, When};

const LEAF: (&str, u64) = ("ABI-G 2.8", tdg::VM_WR);
const NOTIFY: u64 = td::NOTIFY_ENABLES.0;
const CTLS: u64 = td::TD_CTLS.0;
const ALL: u64 = u64::MAX;

macro_rules! write {
    ($name:literal, $id:expr, $value:expr, $mask:expr, $status:expr, $old:expr) => {
        Row::new(
            LEAF,
            $name,
            &[(Rcx, Is(0)), (Rdx, Is($id)), (R8, $value), (R9, Is($mask))],
            $status,
            &[(R8, $old)],
        )
    };
}

macro_rules! refused {
    ($name:literal, $id:expr, $value:expr, $mask:expr, $status:expr) => {
        write!($name, $id, Is($value), $mask, $status, Is(0))
    };
}

fn notify(value: u64) -> Result<(), &'static str> {
    is(vm_rd(td::NOTIFY_ENABLES) == Ok(value), "VM.RD gives another value")
}

pub(super) const ROWS: &[Row] = &[
    Row::new(
        LEAF,
        "RCX is 1",
        &[(Rcx, Is(1)), (Rdx, Is(NOTIFY)), (R9, Is(1))],
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
    refused!("id bit 24", NOTIFY | 1 << 24, 0, 1, BAD_ID),
    refused!("id bit 31", NOTIFY | 1 << 31, 0, 1, BAD_ID),
    refused!("LAST_ELEMENT", NOTIFY | 1 << 34, 0, 1, BAD_ID),
    refused!("LAST_FIELD", NOTIFY | 1 << 46, 0, 1, BAD_ID),
    refused!("id bit 48", NOTIFY | 1 << 48, 0, 1, BAD_ID),
    refused!("id bit 55", NOTIFY | 1 << 55, 0, 1, BAD_ID),
    refused!("id bit 62", NOTIFY | 1 << 62, 0, 1, BAD_ID),
    refused!("a code that does not exist", NOTIFY | 0xFF_FFFF, 0, 1, BAD_ID),
    refused!(
        "CPUID_VALUES of a leaf that is not in the table",
        0x9410_0003_0000_0500,
        0,
        1,
        BAD_ID
    ),
    refused!("CPUID_VALUES of leaf 6, which raises #VE", 0x9410_0003_0000_0D00, 0, 1, NOT_READABLE),
    refused!("CPUID_VALUES of leaf 1", 0x9410_0003_0000_0300, 0, 1, NOT_WRITABLE),
    refused!("ATTRIBUTES", td::ATTRIBUTES.0, 0, ALL, NOT_WRITABLE),
    refused!("MRTD", td::MRTD.0, 0, ALL, NOT_WRITABLE),
    refused!("RTMR", td::RTMR.0, 0, ALL, NOT_WRITABLE),
    refused!("FATAL, which is not readable either", td::FATAL.0, 0, ALL, NOT_WRITABLE),
    refused!("HP_LOCK_TIMEOUT, the VMM's", td::HP_LOCK_TIMEOUT.0, 1_000_000, ALL, NOT_WRITABLE),
    refused!("an empty mask", NOTIFY, 1, 0, NOT_WRITABLE),
    refused!("a mask without a writable bit", NOTIFY, 0, !1, NOT_WRITABLE),
    refused!("TD_CTLS bit 1, of later modules", CTLS, 2, 2, NOT_WRITABLE),
    refused!("a bit that is not writable would change", NOTIFY, 2, 3, NOT_VALID)
        .then(|_, _| notify(0)),
    refused!("bit 63 would change", NOTIFY, 1 << 63 | 1, ALL, NOT_VALID).then(|_, _| notify(0)),
    write!("TD_CTLS bit 1 with bit 0", CTLS, Past(TdCtls, 2), 3, NOT_VALID, Is(0)),
    write!("NOTIFY_ENABLES", NOTIFY, Is(1), 1, OK, Is(0)).then(|_, _| notify(1)),
    write!("bits outside the mask do not count", NOTIFY, Is(!1), 1, OK, Is(1))
        .then(|_, _| notify(0)),
    write!("a full mask, if other bits stay", NOTIFY, Is(1), ALL, OK, Is(0)).then(|_, _| notify(1)),
    write!("zero with a full mask", NOTIFY, Is(0), ALL, OK, Is(1)).then(|_, _| notify(0)),
    write!(
        "the id of Linux, without size and context",
        0x9100_0000_0000_0010,
        Is(0),
        ALL,
        OK,
        Is(0)
    ),
    write!("TD_CTLS as it is", CTLS, At(TdCtls), ALL, OK, At(TdCtls)),
    write!("TD_CTLS, PENDING_VE_DISABLE is not for change", CTLS, Is(0), 1, NOT_VALID, Is(0))
        .when(When::PendingExit)
        .then(|_, _| is(vm_rd(td::TD_CTLS) == Ok(1), "it changed")),
    write!("TD_CTLS, PENDING_VE_DISABLE on, with FLEXIBLE_PENDING_VE", CTLS, Is(1), 1, OK, Is(0))
        .when(When::PendingVe)
        .then(|_, _| is(vm_rd(td::TD_CTLS) == Ok(1), "it did not change")),
    write!("TD_CTLS, PENDING_VE_DISABLE off again", CTLS, Is(0), 1, OK, Is(1))
        .when(When::PendingVe)
        .then(|_, _| is(vm_rd(td::TD_CTLS) == Ok(0), "it did not change")),
];
