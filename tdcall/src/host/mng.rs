//! TDH.MNG.*: a TD from creation to the loss of its key. [ABI-H 3.6, 3.9]
#![expect(unsafe_code, reason = "SEAMCALL")]

use abi::field::FieldId;
use abi::leaf::{tdh, versioned};
use abi::{Hpa, Status};

use super::{FieldRead, LeafError, done, done_or, plain_leaf};
use crate::retry::{while_busy, while_system_busy};

/// TDH.MNG.CREATE: makes a TD with its TDR in page `tdr` under key `hkid`. In RCX, RDX.
/// [ABI-H 3.6]
///
/// # Errors
/// OPERAND_INVALID, OPERAND_ADDR_RANGE_ERROR, PAGE_METADATA_INCORRECT, HKID_NOT_FREE.
///
/// # Safety
/// The page is the caller's to give.
pub unsafe fn mng_create(tdr: Hpa, hkid: u16) -> Result<(), Status> {
    plain_leaf!(tdh::MNG_CREATE, in("rcx") tdr.bits(), in("rdx") u64::from(hkid),)
}

/// TDH.MNG.KEY.CONFIG: makes the TD's key on this package. In RCX. [ABI-H 3.6]
///
/// # Errors
/// TD_FATAL, LIFECYCLE_STATE_INCORRECT; KEY_GENERATION_FAILED if it stays so.
pub fn mng_key_config(tdr: Hpa) -> Result<(), Status> {
    plain_leaf!(while_system_busy: tdh::MNG_KEY_CONFIG, in("rcx") tdr.bits(),)
}

/// TDH.MNG.ADDCX: adds a control-structure page. In RCX page, RDX TDR. [ABI-H 3.6]
///
/// # Errors
/// TD_KEYS_NOT_CONFIGURED, TDCX_NUM_INCORRECT, PAGE_METADATA_INCORRECT.
///
/// # Safety
/// The page is the caller's to give.
pub unsafe fn mng_addcx(page: Hpa, tdr: Hpa) -> Result<(), Status> {
    plain_leaf!(tdh::MNG_ADDCX, in("rcx") page.bits(), in("rdx") tdr.bits(),)
}

/// TDH.MNG.INIT: configures the TD by TD_PARAMS (1 KiB aligned). In RCX TDR, RDX params;
/// on a CPUID error RCX = leaf | sub-leaf << 32. [ABI-H 3.6]
///
/// # Errors
/// OPERAND_INVALID with the field's operand id, OP_STATE_INCORRECT.
pub fn mng_init(tdr: Hpa, td_params: Hpa) -> Result<(), LeafError> {
    let (status, rcx) = while_busy(|| {
        let rcx: u64;
        // SAFETY: reads the parameters, writes pages that are the module's.
        let status = unsafe {
            seamcall!(tdh::MNG_INIT, inlateout("rcx") tdr.bits() => rcx,
                      in("rdx") td_params.bits(),)
        };
        (status, rcx)
    });
    done_or(status, rcx, 0)
}

/// TDH.MNG.RD: reads a field of the TD. In RCX TDR, RDX field; out R8. [ABI-H 3.9]
///
/// # Errors
/// METADATA_FIELD_ID_INCORRECT, METADATA_FIELD_NOT_READABLE, TD state.
pub fn mng_rd(tdr: Hpa, field: FieldId) -> Result<u64, Status> {
    let (status, value) = while_busy(|| {
        let value: u64;
        // SAFETY: reads module state; R8 is the output.
        let status = unsafe {
            seamcall!(tdh::MNG_RD, in("rcx") tdr.bits(), in("rdx") field.0, lateout("r8") value,)
        };
        (status, value)
    });
    done(status).map(|()| value)
}

/// TDH.MNG.RD version 1: the same with the id of the next field. In RCX TDR, RDX field; out
/// RDX next field, R8. [ABI-H 3.9]
///
/// # Errors
/// As [`mng_rd`]; the null id gives the first field's id.
pub fn mng_rd_next(tdr: Hpa, field: FieldId) -> Result<FieldRead, Status> {
    let (status, (next, value)) = while_busy(|| {
        let (next, value): (u64, u64);
        // SAFETY: reads module state; RDX and R8 are the outputs.
        let status = unsafe {
            seamcall!(versioned(tdh::MNG_RD, 1), in("rcx") tdr.bits(),
                      inlateout("rdx") field.0 => next, lateout("r8") value,)
        };
        (status, (next, value))
    });
    FieldRead::from_regs(status, next, value)
}

/// TDH.MNG.WR: writes the bits `mask` of a field of the TD; `Ok` holds the old value. In RCX
/// TDR, RDX field, R8 value, R9 mask; out R8. [ABI-H 3.9]
///
/// # Errors
/// METADATA_FIELD_ID_INCORRECT, METADATA_FIELD_NOT_WRITABLE, METADATA_FIELD_VALUE_NOT_VALID.
pub fn mng_wr(tdr: Hpa, field: FieldId, value: u64, mask: u64) -> Result<u64, Status> {
    let (status, old) = while_busy(|| {
        let old: u64;
        // SAFETY: writes module state; R8 is the output.
        let status = unsafe {
            seamcall!(tdh::MNG_WR, in("rcx") tdr.bits(), in("rdx") field.0,
                      inlateout("r8") value => old, in("r9") mask,)
        };
        (status, old)
    });
    done(status).map(|()| old)
}

/// TDH.MNG.VPFLUSHDONE: no vCPU of the TD is on a processor any more. In RCX. [ABI-H 3.9]
///
/// # Errors
/// FLUSHVP_NOT_DONE, LIFECYCLE_STATE_INCORRECT.
pub fn mng_vpflushdone(tdr: Hpa) -> Result<(), Status> {
    plain_leaf!(tdh::MNG_VPFLUSHDONE, in("rcx") tdr.bits(),)
}

/// TDH.MNG.KEY.FREEID: ends the TD's key; its pages can be reclaimed. In RCX. [ABI-H 3.9]
///
/// # Errors
/// WBCACHE_NOT_COMPLETE, LIFECYCLE_STATE_INCORRECT.
pub fn mng_key_freeid(tdr: Hpa) -> Result<(), Status> {
    plain_leaf!(tdh::MNG_KEY_FREEID, in("rcx") tdr.bits(),)
}

/// TDH.MNG.KEY.RECLAIMID: does nothing, for compatibility. In RCX TDR. [ABI-H 3.9]
///
/// # Errors
/// None by the leaf itself.
pub fn mng_key_reclaimid(tdr: Hpa) -> Result<(), Status> {
    plain_leaf!(tdh::MNG_KEY_RECLAIMID, in("rcx") tdr.bits(),)
}
