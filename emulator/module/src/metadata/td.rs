//! Values of a TD's fields. [ABI-G 12], [ABI-H 4.6]
//!
//! Service TDs and nested VMs do not exist: their fields are zero.

use abi::Status;
use abi::attributes::{ConfigFlags, TdCtls};
use abi::field::td::{
    ATTRIBUTES, CHLDCNT, CONFIG_FLAGS, EPTP, FATAL, GPAW, HKID, HP_LOCK_TIMEOUT, LIFECYCLE_STATE,
    MAX_VCPUS, MRCONFIGID, MROWNER, MROWNERCONFIG, MRTD, NOTIFY_ENABLES, NUM_ASSOC_VCPUS, NUM_TDCX,
    NUM_VCPUS, OP_STATE, REFCOUNT, RTMR, TD_CTLS, TD_EPOCH, TD_UUID, TDCX_PA, TSC_FREQUENCY,
    TSC_MULTIPLIER, TSC_OFFSET, XFAM,
};

pub(crate) use super::td_fields::FIELDS;
use super::td_fields::{CPUID_VALID, NUM_CPUID_VALUES, PKG_CONFIG_BITMAP, SERVTD_HASH};
use super::{ALL, Element, Side, quadword};
use crate::td::Td;
use crate::virt::cpuid_table::ROWS;

/// HP_LOCK_TIMEOUT in microseconds. [ABI-H 4.6]
const LOCK_TIMEOUTS: core::ops::RangeInclusive<u64> = 10_000..=100_000_000;
/// HP_LOCK_TIMEOUT of a new TD.
pub(crate) const DEFAULT_LOCK_TIMEOUT: u64 = 1_000_000;

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
        // The one package has the TD's key: without it no leaf gets here.
        PKG_CONFIG_BITMAP => 1,
        NUM_CPUID_VALUES => ROWS as u64,
        CPUID_VALID => u64::from(index < ROWS),
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
