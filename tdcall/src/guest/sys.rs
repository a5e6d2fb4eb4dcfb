//! TDG.SYS.*: global fields of the module. [ABI-G 2.10]
#![expect(unsafe_code, reason = "TDCALL")]

use abi::field::FieldId;
use abi::leaf::tdg;
use abi::{PrivateGpa, Status};

use crate::error::{FieldRead, next_field};

/// TDG.SYS.RD: reads a global field. [ABI-G 2.10]
///
/// In RDX field; out RDX next field, R8 value.
///
/// # Errors
/// METADATA_FIELD_ID_INCORRECT, METADATA_FIELD_NOT_READABLE. The null id gives 0.
pub fn sys_rd(field: FieldId) -> Result<u64, Status> {
    sys_rd_next(field).map(|read| read.value.unwrap_or(0))
}

/// TDG.SYS.RD with the id of the next field. [ABI-G 2.10]
///
/// # Errors
/// As [`sys_rd`]; the null id gives the first field's id.
pub fn sys_rd_next(field: FieldId) -> Result<FieldRead, Status> {
    let (next, value): (u64, u64);
    // SAFETY: the leaf reads module metadata and writes RDX and R8 alone.
    let status =
        unsafe { tdcall!(tdg::SYS_RD, inlateout("rdx") field.0 => next, lateout("r8") value,) };
    FieldRead::from_regs(status, next, value)
}

/// TDG.SYS.RDALL: fills the page `list` with global fields from `first` on
/// ([`FieldId::NULL`]: from the beginning). `Ok(None)`: all are there; `Ok(Some(field))`:
/// the page is full, go on with this one. [ABI-G 2.10]
///
/// In RDX page, R8 field; out R8 next field. The page holds an 8-byte header (u16 bytes
/// used, u16 sequences, u32 zero) and sequences of a field id and its values.
///
/// # Errors
/// OPERAND_INVALID: the page is not 4 KiB aligned; METADATA_FIELD_ID_INCORRECT.
///
/// # Safety
/// No Rust object lies in the page.
pub unsafe fn sys_rdall(list: PrivateGpa, first: FieldId) -> Result<Option<FieldId>, Status> {
    let next: u64;
    // SAFETY: the leaf writes R8 and the page, which is the caller's to give.
    let status =
        unsafe { tdcall!(tdg::SYS_RDALL, in("rdx") list.bits(), inlateout("r8") first.0 => next,) };
    if status.is_success() || status.is(Status::METADATA_LIST_OVERFLOW) {
        Ok(next_field(next))
    } else {
        Err(status)
    }
}
