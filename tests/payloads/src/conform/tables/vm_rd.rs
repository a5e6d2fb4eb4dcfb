//! TDG.VM.RD: checks, ids, and what is not readable. Values are in [`super::vm_fields`].
//! [ABI-G 2.8, 12]

use abi::Gpr::{R8, Rcx, Rdx};
use abi::field::td;
use abi::leaf::{tdg, versioned};
use conformance::Value::{At, Is};
use tdcall::guest::vm_rd_next;

use super::{BAD_ID, BAD_RAX, BAD_RCX, Elements, FIRST_ID, NONE, NOT_READABLE, OK, walk};
use crate::conform::Place::Attributes;
use crate::conform::Row;

const LEAF: (&str, u64) = ("ABI-G 2.8", tdg::VM_RD);
const VERSION_1: u64 = versioned(tdg::VM_RD, 1);
const ATTRIBUTES: u64 = td::ATTRIBUTES.0;

/// The guest-readable fields, in iteration order. [ABI-G 12]
const FIELDS: &[Elements] = &[
    (td::TD_UUID, 4),
    (td::NUM_VCPUS, 1),
    (td::NUM_L2_VMS, 1),
    (td::ATTRIBUTES, 1),
    (td::XFAM, 1),
    (td::MAX_VCPUS, 1),
    (td::GPAW, 1),
    (td::TSC_FREQUENCY, 1),
    (td::NOTIFY_ENABLES, 1),
    (td::CONFIG_FLAGS, 1),
    (td::TD_CTLS, 1),
    (td::MRTD, 6),
    (td::MRCONFIGID, 6),
    (td::MROWNER, 6),
    (td::MROWNERCONFIG, 6),
    (td::RTMR, 24),
    (super::vm_fields::PRE_IMPORT_UUID, 4),
    (super::vm_fields::SERVTD_HASH, 6),
    (super::vm_fields::SERVTD_NUM, 1),
    (super::vm_fields::SERVTD_BINDINGS_TABLE, 16),
];

/// Refused in version 0, which leaves RDX alone.
macro_rules! refused {
    ($name:literal, $id:expr, $status:expr) => {
        Row::new(LEAF, $name, &[(Rcx, Is(0)), (Rdx, Is($id))], $status, &[(R8, Is(0))])
    };
}

/// ATTRIBUTES by an id with bits that do not count.
macro_rules! ignored {
    ($name:literal, $id:expr) => {
        Row::new(LEAF, $name, &[(Rcx, Is(0)), (Rdx, Is($id))], OK, &[(R8, At(Attributes))])
    };
}

pub(super) const ROWS: &[Row] = &[
    Row::new(
        LEAF,
        "version 2, RDX and R8 change all the same",
        &[(Rcx, Is(0)), (Rdx, Is(ATTRIBUTES))],
        BAD_RAX,
        &[(Rdx, Is(NONE)), (R8, Is(0))],
    )
    .rax(versioned(tdg::VM_RD, 2)),
    Row::new(
        LEAF,
        "version 255",
        &[(Rcx, Is(0)), (Rdx, Is(ATTRIBUTES))],
        BAD_RAX,
        &[(Rdx, Is(NONE)), (R8, Is(0))],
    )
    .rax(versioned(tdg::VM_RD, 255)),
    Row::new(
        LEAF,
        "version 2 comes before RCX",
        &[(Rcx, Is(1)), (Rdx, Is(0))],
        BAD_RAX,
        &[(Rdx, Is(NONE)), (R8, Is(0))],
    )
    .rax(versioned(tdg::VM_RD, 2)),
    Row::new(LEAF, "RCX is 1", &[(Rcx, Is(1)), (Rdx, Is(ATTRIBUTES))], BAD_RCX, &[(R8, Is(0))]),
    Row::new(
        LEAF,
        "RCX is 2^63",
        &[(Rcx, Is(1 << 63)), (Rdx, Is(ATTRIBUTES))],
        BAD_RCX,
        &[(R8, Is(0))],
    ),
    Row::new(
        LEAF,
        "RCX comes before the id",
        &[(Rcx, Is(1)), (Rdx, Is(1 << 24))],
        BAD_RCX,
        &[(R8, Is(0))],
    ),
    Row::new(
        LEAF,
        "RCX is 1, version 1",
        &[(Rcx, Is(1)), (Rdx, Is(ATTRIBUTES))],
        BAD_RCX,
        &[(Rdx, Is(NONE)), (R8, Is(0))],
    )
    .rax(VERSION_1),
    Row::new(
        LEAF,
        "RCX comes before the null id",
        &[(Rcx, Is(1)), (Rdx, Is(NONE))],
        BAD_RCX,
        &[(Rdx, Is(NONE)), (R8, Is(0))],
    )
    .rax(VERSION_1),
    Row::new(
        LEAF,
        "the null id, the first field",
        &[(Rcx, Is(0)), (Rdx, Is(NONE))],
        FIRST_ID,
        &[(Rdx, Is(td::TD_UUID.0)), (R8, Is(0))],
    )
    .rax(VERSION_1)
    .then(|_, _| walk(FIELDS, vm_rd_next)),
    Row::new(
        LEAF,
        "the null id with another context",
        &[(Rcx, Is(0)), (Rdx, Is(NONE & !(7 << 52)))],
        FIRST_ID,
        &[(Rdx, Is(td::TD_UUID.0)), (R8, Is(0))],
    )
    .rax(VERSION_1),
    refused!("version 0 has no null id", NONE, BAD_ID),
    refused!("id bit 24", ATTRIBUTES | 1 << 24, BAD_ID),
    refused!("id bit 31", ATTRIBUTES | 1 << 31, BAD_ID),
    refused!("LAST_ELEMENT, bit 34", ATTRIBUTES | 1 << 34, BAD_ID),
    refused!("LAST_ELEMENT, bit 37", ATTRIBUTES | 1 << 37, BAD_ID),
    refused!("LAST_FIELD, bit 38", ATTRIBUTES | 1 << 38, BAD_ID),
    refused!("LAST_FIELD, bit 46", ATTRIBUTES | 1 << 46, BAD_ID),
    refused!("id bit 47", ATTRIBUTES | 1 << 47, BAD_ID),
    refused!("id bit 49", ATTRIBUTES | 1 << 49, BAD_ID),
    refused!("id bit 55", ATTRIBUTES | 1 << 55, BAD_ID),
    refused!("id bit 62", ATTRIBUTES | 1 << 62, BAD_ID),
    refused!("a class that does not exist", 0x3F10_0003_0000_0000, BAD_ID),
    refused!("a code that does not exist", ATTRIBUTES | 0xFF_FFFF, BAD_ID),
    refused!("the element behind the last of MRTD", td::MRTD.0 + 6, BAD_ID),
    refused!("TOPOLOGY_ENUM_CONFIGURED of later modules", 0x9100_0000_0000_0019, BAD_ID),
    refused!("L2_SEPT_ROOT of a VM that does not exist", 0x2510_0003_0000_0000, BAD_ID),
    refused!("CPUID_VALUES of a leaf that is not in the table", 0x9410_0003_0000_0500, BAD_ID),
    refused!("CPUID_VALUES with a reserved bit", 0x9410_0003_0002_0300, BAD_ID),
    refused!("FATAL", td::FATAL.0, NOT_READABLE),
    refused!("HKID", td::HKID.0, NOT_READABLE),
    refused!("OP_STATE", td::OP_STATE.0, NOT_READABLE),
    refused!("EPTP", td::EPTP.0, NOT_READABLE),
    refused!("TSC_OFFSET", td::TSC_OFFSET.0, NOT_READABLE),
    refused!("VIRTUAL_TSC", 0x1110_0003_0000_000D, NOT_READABLE),
    refused!("HP_LOCK_TIMEOUT", td::HP_LOCK_TIMEOUT.0, NOT_READABLE),
    refused!("TD_EPOCH", td::TD_EPOCH.0, NOT_READABLE),
    refused!("CPUID_VALUES of leaf 1", 0x9410_0003_0000_0300, NOT_READABLE),
    refused!("CPUID_VALUES of leaf 6, which raises #VE", 0x9410_0003_0000_0D00, NOT_READABLE),
    refused!("MSR_BITMAPS", 0x2010_0003_0000_0000, NOT_READABLE),
    Row::new(
        LEAF,
        "FATAL, version 1",
        &[(Rcx, Is(0)), (Rdx, Is(td::FATAL.0))],
        NOT_READABLE,
        &[(Rdx, Is(NONE)), (R8, Is(0))],
    )
    .rax(VERSION_1),
    Row::new(
        LEAF,
        "id bit 24, version 1",
        &[(Rcx, Is(0)), (Rdx, Is(ATTRIBUTES | 1 << 24))],
        BAD_ID,
        &[(Rdx, Is(NONE)), (R8, Is(0))],
    )
    .rax(VERSION_1),
    ignored!("the element size does not count", ATTRIBUTES & !(3 << 32)),
    ignored!("INC_SIZE does not count", ATTRIBUTES | 1 << 50),
    ignored!("WRITE_MASK_VALID does not count", ATTRIBUTES | 1 << 51),
    ignored!("the context does not count", ATTRIBUTES | 7 << 52),
    ignored!("NON_ARCH does not count", ATTRIBUTES | 1 << 63),
];
