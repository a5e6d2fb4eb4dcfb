//! TDG.VM.*: fields of this TD. [ABI-G 2.8]
#![expect(unsafe_code, reason = "TDCALL")]

use abi::Status;
use abi::field::FieldId;
use abi::leaf::{tdg, versioned};

use crate::error::{FieldRead, done};
use crate::retry::while_busy;

/// TDG.VM.RD version 0: reads a field of this TD. [ABI-G 2.8]
///
/// In RCX = 0, RDX field; out R8 value.
///
/// # Errors
/// METADATA_FIELD_ID_INCORRECT, METADATA_FIELD_NOT_READABLE.
pub fn vm_rd(field: FieldId) -> Result<u64, Status> {
    let value: u64;
    // SAFETY: the leaf reads TD metadata and writes R8 alone.
    let status =
        unsafe { tdcall!(tdg::VM_RD, in("rcx") 0_u64, in("rdx") field.0, lateout("r8") value,) };
    done(status).map(|()| value)
}

/// TDG.VM.RD version 1: the same with the id of the next field. [ABI-G 2.8]
///
/// In RCX = 0, RDX field; out RDX next field, R8 value.
///
/// # Errors
/// As [`vm_rd`]; the null id gives the first field's id.
pub fn vm_rd_next(field: FieldId) -> Result<FieldRead, Status> {
    let (next, value): (u64, u64);
    // SAFETY: the leaf reads TD metadata and writes RDX and R8 alone.
    let status = unsafe {
        tdcall!(versioned(tdg::VM_RD, 1), in("rcx") 0_u64, inlateout("rdx") field.0 => next,
                lateout("r8") value,)
    };
    FieldRead::from_regs(status, next, value)
}

/// TDG.VM.WR: writes the bits `mask` of a field of this TD; `Ok` holds the old value.
/// [ABI-G 2.8]
///
/// In RCX = 0, RDX field, R8 value, R9 mask; out R8.
///
/// # Errors
/// METADATA_FIELD_ID_INCORRECT, METADATA_FIELD_NOT_WRITABLE, METADATA_FIELD_VALUE_NOT_VALID;
/// OPERAND_BUSY if it stays so.
pub fn vm_wr(field: FieldId, value: u64, mask: u64) -> Result<u64, Status> {
    let (status, old) = while_busy(|| {
        let old: u64;
        // SAFETY: the leaf writes TD metadata, which is not memory, and R8.
        let status = unsafe {
            tdcall!(tdg::VM_WR, in("rcx") 0_u64, in("rdx") field.0,
                    inlateout("r8") value => old, in("r9") mask,)
        };
        (status, old)
    });
    done(status).map(|()| old)
}
