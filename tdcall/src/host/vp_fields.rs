//! TDH.VP.RD and TDH.VP.WR: fields of a vCPU. [ABI-H 3.9, 4.7]
#![expect(unsafe_code, reason = "SEAMCALL")]

use abi::field::FieldId;
use abi::leaf::{tdh, versioned};
use abi::{Hpa, Status};

use super::{FieldRead, done};
use crate::retry::while_busy;

/// TDH.VP.RD: reads a field of the vCPU. In RCX TDVPR, RDX field; out R8. [ABI-H 3.9]
///
/// # Errors
/// METADATA_FIELD_ID_INCORRECT, VCPU_ASSOCIATED, VCPU_STATE_INCORRECT.
pub fn vp_rd(tdvpr: Hpa, field: FieldId) -> Result<u64, Status> {
    let (status, value) = while_busy(|| {
        let value: u64;
        // SAFETY: reads module state; R8 is the output.
        let status = unsafe {
            seamcall!(tdh::VP_RD, in("rcx") tdvpr.bits(), in("rdx") field.0, lateout("r8") value,)
        };
        (status, value)
    });
    done(status).map(|()| value)
}

/// TDH.VP.RD version 1: the same with the id of the next field. In RCX TDVPR, RDX field; out
/// RDX next field, R8. [ABI-H 3.9]
///
/// # Errors
/// As [`vp_rd`]; the null id gives the first field's id.
pub fn vp_rd_next(tdvpr: Hpa, field: FieldId) -> Result<FieldRead, Status> {
    let (status, (next, value)) = while_busy(|| {
        let (next, value): (u64, u64);
        // SAFETY: reads module state; RDX and R8 are the outputs.
        let status = unsafe {
            seamcall!(versioned(tdh::VP_RD, 1), in("rcx") tdvpr.bits(),
                      inlateout("rdx") field.0 => next, lateout("r8") value,)
        };
        (status, (next, value))
    });
    FieldRead::from_regs(status, next, value)
}

/// TDH.VP.WR: writes the bits `mask` of a field of the vCPU. In RCX TDVPR, RDX field, R8
/// value, R9 mask; out R8, the old value. [ABI-H 3.9]
///
/// # Errors
/// METADATA_FIELD_NOT_WRITABLE, METADATA_FIELD_VALUE_NOT_VALID, TD_VMCS_FIELD_NOT_INITIALIZED.
pub fn vp_wr(tdvpr: Hpa, field: FieldId, value: u64, mask: u64) -> Result<u64, Status> {
    let (status, old) = while_busy(|| {
        let old: u64;
        // SAFETY: writes module state; R8 is the output.
        let status = unsafe {
            seamcall!(tdh::VP_WR, in("rcx") tdvpr.bits(), in("rdx") field.0,
                      inlateout("r8") value => old, in("r9") mask,)
        };
        (status, old)
    });
    done(status).map(|()| old)
}
