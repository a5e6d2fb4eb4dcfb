//! Fields of a TD. [ABI-G 12], [ABI-H 4.6]

use abi::Status;
use abi::attributes::{ConfigFlags, TdCtls};
use abi::field::FieldId;
use abi::field::td::{
    ATTRIBUTES, CHLDCNT, CONFIG_FLAGS, EPTP, FATAL, GPAW, HKID, HP_LOCK_TIMEOUT, LIFECYCLE_STATE,
    MAX_VCPUS, MRCONFIGID, MROWNER, MROWNERCONFIG, MRTD, NOTIFY_ENABLES, NUM_ASSOC_VCPUS,
    NUM_L2_VMS, NUM_TDCX, NUM_VCPUS, OP_STATE, REFCOUNT, RTMR, TD_CTLS, TD_EPOCH, TD_UUID, TDCX_PA,
    TSC_FREQUENCY, TSC_MULTIPLIER, TSC_OFFSET, XFAM,
};

use super::{ALL, Element, Field, Side, common, host_only, quadword};
use crate::sys::TD_CTLS_WRITABLE;
use crate::td::Td;

/// Of service TDs, of which there are none.
const PRE_IMPORT_UUID: FieldId = FieldId(0x9810_0003_0000_0040);
const SERVTD_HASH: FieldId = FieldId(0x9910_0003_0000_0000);
const SERVTD_NUM: FieldId = FieldId(0x9910_0001_0000_0006);
const SERVTD_BINDINGS_TABLE: FieldId = FieldId(0x9910_0003_0000_0080);

/// HP_LOCK_TIMEOUT in microseconds. [ABI-H 4.6]
const LOCK_TIMEOUTS: core::ops::RangeInclusive<u64> = 10_000..=100_000_000;
/// HP_LOCK_TIMEOUT of a new TD.
pub(crate) const DEFAULT_LOCK_TIMEOUT: u64 = 1_000_000;

pub(crate) const FIELDS: &[Field] = &[
    host_only(FATAL, 1),
    host_only(NUM_TDCX, 1),
    host_only(CHLDCNT, 1),
    host_only(LIFECYCLE_STATE, 1),
    host_only(TDCX_PA, 9),
    common(TD_UUID, 4),
    host_only(HKID, 1),
    common(NUM_VCPUS, 1),
    host_only(NUM_ASSOC_VCPUS, 1),
    host_only(OP_STATE, 1),
    common(NUM_L2_VMS, 1),
    common(ATTRIBUTES, 1),
    common(XFAM, 1),
    common(MAX_VCPUS, 1),
    common(GPAW, 1),
    host_only(EPTP, 1),
    host_only(TSC_OFFSET, 1),
    host_only(TSC_MULTIPLIER, 1),
    common(TSC_FREQUENCY, 1),
    Field::new(NOTIFY_ENABLES, 1, (0, 0), (1, 1)),
    Field::new(HP_LOCK_TIMEOUT, 1, (ALL, ALL), (0, 0)),
    common(CONFIG_FLAGS, 1),
    Field::new(TD_CTLS, 1, (0, 0), (ALL, TD_CTLS_WRITABLE)),
    host_only(TD_EPOCH, 1),
    host_only(REFCOUNT, 2),
    common(MRTD, 6),
    common(MRCONFIGID, 6),
    common(MROWNER, 6),
    common(MROWNERCONFIG, 6),
    Field { debug_only: true, ..common(RTMR, 24) },
    common(PRE_IMPORT_UUID, 4),
    common(SERVTD_HASH, 6),
    common(SERVTD_NUM, 1),
    common(SERVTD_BINDINGS_TABLE, 16),
];

pub(crate) fn value(td: &Td, element: &Element) -> u64 {
    let Td { tdr, tdcs, .. } = td;
    let index = element.index as usize;
    match element.field() {
        FATAL => u64::from(tdr.fatal != 0),
        NUM_TDCX => u64::from(tdr.num_tdcx),
        CHLDCNT => tdr.chldcnt,
        LIFECYCLE_STATE => tdr.lifecycle() as u64,
        TDCX_PA => tdr.tdcx_pa.get(index).copied().unwrap_or(0),
        TD_UUID => tdr.uuid.get(index).copied().unwrap_or(0),
        HKID => u64::from(tdr.hkid),
        NUM_VCPUS => u64::from(tdcs.num_vcpus),
        NUM_ASSOC_VCPUS => u64::from(tdcs.num_assoc_vcpus),
        OP_STATE => u64::from(tdcs.op_state),
        ATTRIBUTES => tdcs.attributes,
        XFAM => tdcs.xfam,
        MAX_VCPUS => u64::from(tdcs.max_vcpus),
        GPAW => u64::from(tdcs.gpa_width() == 52),
        EPTP => tdcs.eptp,
        TSC_OFFSET => tdcs.tsc_offset,
        TSC_MULTIPLIER => tdcs.tsc_multiplier,
        TSC_FREQUENCY => u64::from(tdcs.tsc_frequency_25mhz),
        NOTIFY_ENABLES => tdcs.notify_enables,
        HP_LOCK_TIMEOUT => tdcs.hp_lock_timeout,
        CONFIG_FLAGS => tdcs.config_flags,
        TD_CTLS => tdcs.td_ctls,
        TD_EPOCH => tdcs.td_epoch,
        REFCOUNT => u64::from(tdcs.refcount[index & 1]),
        MRTD => quadword(&tdcs.mrtd, element.index),
        MRCONFIGID => quadword(&tdcs.mrconfigid, element.index),
        MROWNER => quadword(&tdcs.mrowner, element.index),
        MROWNERCONFIG => quadword(&tdcs.mrownerconfig, element.index),
        RTMR => quadword(tdcs.rtmr.as_flattened(), element.index),
        SERVTD_HASH => quadword(&tdcs.servtd_hash, element.index),
        _ => 0,
    }
}

/// Writes an element of the copy and gives its old value.
pub(crate) fn write(
    td: &mut Td,
    element: &Element,
    side: Side,
    value_in: u64,
    request: u64,
) -> Result<u64, Status> {
    let old = value(td, element);
    let new = element.merge(side, old, value_in, request)?;
    let tdcs = &mut td.tdcs;
    match element.field() {
        NOTIFY_ENABLES => tdcs.notify_enables = new,
        HP_LOCK_TIMEOUT if request != ALL => return Err(Status::METADATA_WR_MASK_NOT_VALID),
        HP_LOCK_TIMEOUT if LOCK_TIMEOUTS.contains(&new) => tdcs.hp_lock_timeout = new,
        TD_CTLS => {
            let pending = TdCtls::PENDING_VE_DISABLE.bits();
            let flexible = ConfigFlags::FLEXIBLE_PENDING_VE.bits();
            if (old ^ new) & pending != 0 && tdcs.config_flags & flexible == 0 {
                return Err(Status::METADATA_FIELD_VALUE_NOT_VALID);
            }
            tdcs.td_ctls = new;
        }
        _ => return Err(Status::METADATA_FIELD_VALUE_NOT_VALID),
    }
    Ok(old & element.readable(side).unwrap_or(0))
}
