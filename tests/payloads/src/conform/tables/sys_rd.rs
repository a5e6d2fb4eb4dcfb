//! TDG.SYS.RD. [ABI-G 2.10, 12]

use abi::Gpr::{R8, Rdx};
use abi::field::{FieldId, sys};
use abi::leaf::tdg;
use conformance::Value::{Any, Is};
use tdcall::guest::{sys_rd_next, vp_rd};

use super::{BAD_ID, Elements, FIRST_ID, NONE, NOT_READABLE, OK, is, walk};
use crate::conform::Row;

const LEAF: (&str, u64) = ("ABI-G 2.10", tdg::SYS_RD);
const VENDOR: u64 = sys::VENDOR_ID.0;
const SYS_ATTRIBUTES: FieldId = FieldId(0x0A00_0002_0000_0000);
const NUM_TDX_FEATURES: FieldId = FieldId(0x0A00_0000_0000_0001);
const MIG_ATTRIBUTES: FieldId = FieldId(0xA000_0003_0000_0000);
const MIN_EXPORT_VERSION: FieldId = FieldId(0x2000_0001_0000_0001);
const GUEST_L2_GPA_ATTR_MASK: FieldId = FieldId(0xA200_0001_0000_0000);

/// The guest-readable fields, in iteration order. [ABI-G 12]
pub(super) const FIELDS: &[Elements] = &[
    (sys::VENDOR_ID, 1),
    (sys::MINOR_VERSION, 1),
    (sys::MAJOR_VERSION, 1),
    (SYS_ATTRIBUTES, 1),
    (NUM_TDX_FEATURES, 1),
    (sys::TDX_FEATURES0, 1),
    (MIG_ATTRIBUTES, 1),
    // MIN_EXPORT, MAX_EXPORT, MIN_IMPORT, MAX_IMPORT.
    (MIN_EXPORT_VERSION, 4),
    (GUEST_L2_GPA_ATTR_MASK, 1),
];

/// TDX_FEATURES0: TDG.VP.RD and WR exist.
const VP_RDWR: u64 = 1 << 3;
/// TDX_FEATURES0: TDG.VP.CPUIDVE.SET and its fields.
const CPUID_CONTROL: u64 = 1 << 5;
/// TDX_FEATURES0: bits that no module has.
const NO_FEATURE: u64 = 1 << 6 | 0xF << 12;

macro_rules! read {
    ($name:literal, $id:expr, $value:expr, $next:expr) => {
        Row::new(LEAF, $name, &[(Rdx, Is($id))], OK, &[(R8, $value), (Rdx, Is($next))])
    };
}

macro_rules! refused {
    ($name:literal, $id:expr, $status:expr) => {
        Row::new(LEAF, $name, &[(Rdx, Is($id))], $status, &[(R8, Is(0)), (Rdx, Is(NONE))])
    };
}

macro_rules! first {
    ($name:literal, $id:expr) => {
        Row::new(LEAF, $name, &[(Rdx, Is($id))], FIRST_ID, &[(R8, Is(0)), (Rdx, Is(VENDOR))])
    };
}

pub(super) const ROWS: &[Row] = &[
    first!("the null id, the first field", NONE).then(|_, _| walk(FIELDS, sys_rd_next)),
    first!("the null id with another context", NONE & !(7 << 52)),
    refused!("id bit 24", VENDOR | 1 << 24, BAD_ID),
    refused!("id bit 31", VENDOR | 1 << 31, BAD_ID),
    refused!("LAST_ELEMENT", VENDOR | 1 << 36, BAD_ID),
    refused!("LAST_FIELD", VENDOR | 1 << 45, BAD_ID),
    refused!("id bit 47", VENDOR | 1 << 47, BAD_ID),
    refused!("id bit 55", VENDOR | 1 << 55, BAD_ID),
    refused!("id bit 62", VENDOR | 1 << 62, BAD_ID),
    refused!("a class that does not exist", 0x3F00_0003_0000_0000, BAD_ID),
    refused!("a code that does not exist", VENDOR | 0xFF_FFFF, BAD_ID),
    refused!("a field of the TD", abi::field::td::MRTD.0, BAD_ID),
    refused!("BUILD_DATE", sys::BUILD_DATE.0, NOT_READABLE),
    refused!("UPDATE_VERSION", sys::UPDATE_VERSION.0, NOT_READABLE),
    refused!("CMR_BASE", sys::CMR_BASE.0, NOT_READABLE),
    refused!("MAX_TDMRS", sys::MAX_TDMRS.0, NOT_READABLE),
    refused!("ATTRIBUTES_FIXED0", sys::ATTRIBUTES_FIXED0.0, NOT_READABLE),
    refused!("CPUID_CONFIG_VALUES", sys::CPUID_CONFIG_VALUES.0 + 1, NOT_READABLE),
    read!("VENDOR_ID", VENDOR, Is(0x8086), sys::MINOR_VERSION.0),
    read!("MINOR_VERSION", sys::MINOR_VERSION.0, Is(5), sys::MAJOR_VERSION.0),
    read!("MAJOR_VERSION", sys::MAJOR_VERSION.0, Is(1), SYS_ATTRIBUTES.0),
    read!("SYS_ATTRIBUTES", SYS_ATTRIBUTES.0, Is(0), NUM_TDX_FEATURES.0),
    read!("NUM_TDX_FEATURES", NUM_TDX_FEATURES.0, Is(1), sys::TDX_FEATURES0.0),
    read!("TDX_FEATURES0 says what there is", sys::TDX_FEATURES0.0, Any, MIG_ATTRIBUTES.0).then(
        |_, regs| {
            let has_vp_rd = vp_rd(abi::field::vp::VCPU_INDEX).is_ok();
            let features = regs.r8;
            is((features & VP_RDWR != 0) == has_vp_rd, "VP.RD is not announced")?;
            is(features & CPUID_CONTROL != 0, "CPUIDVE.SET is not announced")?;
            is(features & NO_FEATURE == 0, "a bit is set that no module has")
        },
    ),
    read!("MIG_ATTRIBUTES", MIG_ATTRIBUTES.0, Is(0), MIN_EXPORT_VERSION.0),
    read!("MAX_IMPORT_VERSION", MIN_EXPORT_VERSION.0 + 3, Is(0), GUEST_L2_GPA_ATTR_MASK.0),
    read!("the last field", GUEST_L2_GPA_ATTR_MASK.0, Is(0x807F), NONE),
    read!("the element size does not count", VENDOR | 3 << 32, Is(0x8086), sys::MINOR_VERSION.0),
    read!("the context does not count", VENDOR | 2 << 52, Is(0x8086), sys::MINOR_VERSION.0),
    read!("NON_ARCH does not count", VENDOR | 1 << 63, Is(0x8086), sys::MINOR_VERSION.0),
];
