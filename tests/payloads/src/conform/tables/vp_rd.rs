//! TDG.VP.RD. [ABI-G 2.9, 12]

use abi::Gpr::{R8, Rcx, Rdx};
use abi::field::{FieldId, vp};
use abi::leaf::tdg;
use conformance::Value::Is;
use tdcall::guest::vp_rd_next;

use super::{BAD_ID, BAD_RCX, Elements, FIRST_ID, NONE, NOT_READABLE, OK, walk};
use crate::conform::Row;

const LEAF: (&str, u64) = ("ABI-G 2.9", tdg::VP_RD);
const INDEX: u64 = vp::VCPU_INDEX.0;
pub(super) const L2_CTLS: FieldId = FieldId(0xA020_0003_0000_0050);
pub(super) const TSC_DEADLINE: FieldId = FieldId(0xA020_0003_0000_0058);

/// The guest-readable fields of a TD without nested VMs, in iteration order. [ABI-G 12]
const FIELDS: &[Elements] = &[
    (vp::VCPU_INDEX, 1),
    (vp::CPUID_SUPERVISOR_VE, 1),
    (vp::CPUID_USER_VE, 1),
    (L2_CTLS, 4),
    (TSC_DEADLINE, 4),
    (vp::CPUID_CONTROL, 128),
];

macro_rules! read {
    ($name:literal, $id:expr, $value:expr, $next:expr) => {
        Row::new(
            LEAF,
            $name,
            &[(Rcx, Is(0)), (Rdx, Is($id))],
            OK,
            &[(R8, Is($value)), (Rdx, Is($next))],
        )
    };
}

macro_rules! refused {
    ($name:literal, $handle:expr, $id:expr, $status:expr) => {
        Row::new(
            LEAF,
            $name,
            &[(Rcx, Is($handle)), (Rdx, Is($id))],
            $status,
            &[(R8, Is(0)), (Rdx, Is(NONE))],
        )
    };
}

pub(super) const ROWS: &[Row] = &[
    refused!("RCX is 1", 1, INDEX, BAD_RCX),
    refused!("RCX is 2^63", 1 << 63, INDEX, BAD_RCX),
    refused!("RCX comes before the id", 1, 1 << 24, BAD_RCX),
    refused!("RCX comes before the null id", 1, NONE, BAD_RCX),
    Row::new(
        LEAF,
        "the null id, the first field",
        &[(Rcx, Is(0)), (Rdx, Is(NONE))],
        FIRST_ID,
        &[(R8, Is(0)), (Rdx, Is(INDEX))],
    )
    .then(|_, _| walk(FIELDS, vp_rd_next)),
    Row::new(
        LEAF,
        "the null id with another context",
        &[(Rcx, Is(0)), (Rdx, Is(NONE & !(2 << 52)))],
        FIRST_ID,
        &[(R8, Is(0)), (Rdx, Is(INDEX))],
    ),
    refused!("id bit 24", 0, INDEX | 1 << 24, BAD_ID),
    refused!("id bit 31", 0, INDEX | 1 << 31, BAD_ID),
    refused!("LAST_ELEMENT", 0, INDEX | 1 << 35, BAD_ID),
    refused!("LAST_FIELD", 0, INDEX | 1 << 40, BAD_ID),
    refused!("id bit 47", 0, INDEX | 1 << 47, BAD_ID),
    refused!("id bit 55", 0, INDEX | 1 << 55, BAD_ID),
    refused!("id bit 62", 0, INDEX | 1 << 62, BAD_ID),
    refused!("a class that does not exist", 0, 0x3F20_0003_0000_0000, BAD_ID),
    refused!("a code that does not exist", 0, INDEX | 0xFF_FFFF, BAD_ID),
    refused!("the element behind the last of CPUID_CONTROL", 0, vp::CPUID_CONTROL.0 + 128, BAD_ID),
    refused!("L2_MSR_BITMAPS of a VM that does not exist", 0, 0x2520_0003_0000_0000, BAD_ID),
    refused!("the VMCS of a VM that does not exist", 0, 0x2420_0000_0000_6800, BAD_ID),
    refused!("the high half of a VMCS field", 0, vp::SHARED_EPTP.0 | 1, BAD_ID),
    refused!("a VMCS field, SHARED_EPTP", 0, vp::SHARED_EPTP.0, NOT_READABLE),
    refused!("a VMCS field, the notification vector", 0, vp::POSTED_INTR_NV.0, NOT_READABLE),
    refused!("VCPU_STATE_DETAILS", 0, vp::VCPU_STATE_DETAILS.0, NOT_READABLE),
    refused!("VCPU_EPOCH", 0, vp::VCPU_EPOCH.0, NOT_READABLE),
    refused!("TDVPS_PAGE_PA", 0, vp::TDVPS_PAGE_PA.0, NOT_READABLE),
    refused!("PEND_NMI", 0, vp::PEND_NMI.0, NOT_READABLE),
    read!("VCPU_INDEX", INDEX, 0, vp::CPUID_SUPERVISOR_VE.0),
    read!("CPUID_SUPERVISOR_VE", vp::CPUID_SUPERVISOR_VE.0, 0, vp::CPUID_USER_VE.0),
    read!("CPUID_USER_VE", vp::CPUID_USER_VE.0, 0, L2_CTLS.0),
    read!("L2_CTLS", L2_CTLS.0, 0, L2_CTLS.0 + 1),
    read!("TSC_DEADLINE of VM 0 starts with ones", TSC_DEADLINE.0, u64::MAX, TSC_DEADLINE.0 + 1),
    read!("that of a VM that does not exist is zero", TSC_DEADLINE.0 + 3, 0, vp::CPUID_CONTROL.0),
    read!("CPUID_CONTROL", vp::CPUID_CONTROL.0 + 10, 0, vp::CPUID_CONTROL.0 + 11),
    read!("the last field", vp::CPUID_CONTROL.0 + 127, 0, NONE),
    read!("the element size does not count", INDEX | 3 << 32, 0, vp::CPUID_SUPERVISOR_VE.0),
    read!("the context does not count", INDEX & !(7 << 52), 0, vp::CPUID_SUPERVISOR_VE.0),
    read!("NON_ARCH does not count", INDEX & !(1 << 63), 0, vp::CPUID_SUPERVISOR_VE.0),
];
