//! TDG.VM.RD: what every readable field holds, and which comes next. [ABI-G 2.8, 12]

use abi::Gpr::{R8, Rcx, Rdx};
use abi::field::{FieldId, td};
use abi::leaf::{tdg, versioned};
use conformance::Value::{Any, At, Is};

use super::{NONE, OK};
use crate::conform::Place::{Attributes, ConfigFlags, Gpaw, TdCtls, TscFrequency, Uuid, Xfam};
use crate::conform::Row;

pub(super) const PRE_IMPORT_UUID: FieldId = FieldId(0x9810_0003_0000_0040);
pub(super) const SERVTD_HASH: FieldId = FieldId(0x9910_0003_0000_0000);
pub(super) const SERVTD_NUM: FieldId = FieldId(0x9910_0001_0000_0006);
pub(super) const SERVTD_BINDINGS_TABLE: FieldId = FieldId(0x9910_0003_0000_0080);

/// Version 0: RDX stays.
macro_rules! version_0 {
    ($name:literal, $id:expr, $value:expr) => {
        Row::new(
            ("ABI-G 2.8", tdg::VM_RD),
            $name,
            &[(Rcx, Is(0)), (Rdx, Is($id))],
            OK,
            &[(R8, $value)],
        )
    };
}

/// Version 1: the next field.
macro_rules! version_1 {
    ($name:literal, $id:expr, $value:expr, $next:expr) => {
        Row::new(
            ("ABI-G 2.8", versioned(tdg::VM_RD, 1)),
            $name,
            &[(Rcx, Is(0)), (Rdx, Is($id))],
            OK,
            &[(R8, $value), (Rdx, Is($next))],
        )
    };
}

pub(super) const ROWS: &[Row] = &[
    version_0!("TD_UUID", td::TD_UUID.0, At(Uuid(0))),
    version_0!("NUM_VCPUS", td::NUM_VCPUS.0, Is(1)),
    version_0!("NUM_L2_VMS", td::NUM_L2_VMS.0, Is(0)),
    version_0!("ATTRIBUTES", td::ATTRIBUTES.0, At(Attributes)),
    version_0!("XFAM", td::XFAM.0, At(Xfam)),
    version_0!("MAX_VCPUS", td::MAX_VCPUS.0, Is(1)),
    version_0!("GPAW", td::GPAW.0, At(Gpaw)),
    version_0!("TSC_FREQUENCY", td::TSC_FREQUENCY.0, At(TscFrequency)),
    version_0!("NOTIFY_ENABLES", td::NOTIFY_ENABLES.0, Is(0)),
    version_0!("CONFIG_FLAGS", td::CONFIG_FLAGS.0, At(ConfigFlags)),
    version_0!("TD_CTLS", td::TD_CTLS.0, At(TdCtls)),
    version_0!("MRTD", td::MRTD.0, Any),
    version_0!("MRCONFIGID", td::MRCONFIGID.0, Is(0)),
    version_0!("MROWNER", td::MROWNER.0 + 5, Is(0)),
    version_0!("MROWNERCONFIG", td::MROWNERCONFIG.0 + 3, Is(0)),
    version_0!("PRE_IMPORT_UUID", PRE_IMPORT_UUID.0, Is(0)),
    version_0!("SERVTD_HASH", SERVTD_HASH.0, Is(0)),
    version_0!("SERVTD_NUM", SERVTD_NUM.0, Is(0)),
    version_0!("SERVTD_BINDINGS_TABLE", SERVTD_BINDINGS_TABLE.0 + 15, Is(0)),
    version_1!("the next element of a field", td::TD_UUID.0, At(Uuid(0)), td::TD_UUID.0 + 1),
    version_1!("the field behind the last element", td::TD_UUID.0 + 3, Any, td::NUM_VCPUS.0),
    version_1!(
        "fields that are not readable are left out",
        td::GPAW.0,
        At(Gpaw),
        td::TSC_FREQUENCY.0
    ),
    version_1!(
        "classes that are not readable are left out",
        td::RTMR.0 + 23,
        Any,
        PRE_IMPORT_UUID.0
    ),
    version_1!("the last field", SERVTD_BINDINGS_TABLE.0 + 15, Is(0), NONE),
    version_1!(
        "the next id is whole, whatever was asked for",
        td::MAX_VCPUS.0 & !(3 << 32),
        Is(1),
        td::GPAW.0
    ),
];
