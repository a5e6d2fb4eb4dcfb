//! TDG.SERVTD.*: fields of a TD that this service TD is bound to. [ABI-G 2.11]
//!
//! The module checks the binding; an error of the target TD is not a status but a TD exit.
#![expect(unsafe_code, reason = "TDCALL")]

use core::fmt;

use abi::Status;
use abi::field::FieldId;
use abi::leaf::tdg;

use crate::error::FieldRead;
use crate::retry::while_busy;

/// The handle that the VMM gives to a service TD: slot and TDR page, plus the first
/// quadword of the service TD's UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding(pub u64);

/// A TD_UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TdUuid(pub [u64; 4]);

/// A field of the target TD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServtdRead {
    /// R8 and RDX.
    pub field: FieldRead,
    /// R10-R13.
    pub uuid: TdUuid,
}

/// A service TD's leaf that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServtdError {
    /// RAX.
    pub status: Status,
    /// R10-R13: on TARGET_UUID_UPDATED the target's new UUID, else the one given.
    pub uuid: TdUuid,
}

impl fmt::Display for ServtdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (TD_UUID {:x?})", self.status, self.uuid.0)
    }
}

impl core::error::Error for ServtdError {}

/// TDG.SERVTD.RD: reads a field of the target TD. [ABI-G 2.11]
///
/// In RCX binding, RDX field, R10-R13 UUID; out RDX next field, R8 value, R10-R13 UUID.
///
/// # Errors
/// OPERAND_INVALID (no such slot), TARGET_UUID_MISMATCH, TARGET_UUID_UPDATED,
/// METADATA_FIELD_ID_INCORRECT, METADATA_FIELD_NOT_READABLE, OPERAND_BUSY if it stays so.
pub fn servtd_rd(
    binding: Binding,
    field: FieldId,
    uuid: TdUuid,
) -> Result<ServtdRead, ServtdError> {
    let (status, (next, value, uuid)) = while_busy(|| {
        let (next, value): (u64, u64);
        let [mut u0, mut u1, mut u2, mut u3] = uuid.0;
        // SAFETY: the leaf reads metadata and writes RDX, R8 and R10-R13 alone.
        let status = unsafe {
            tdcall!(tdg::SERVTD_RD, in("rcx") binding.0, inlateout("rdx") field.0 => next,
                    lateout("r8") value, inlateout("r10") u0, inlateout("r11") u1,
                    inlateout("r12") u2, inlateout("r13") u3,)
        };
        (status, (next, value, TdUuid([u0, u1, u2, u3])))
    });
    match FieldRead::from_regs(status, next, value) {
        Ok(field) => Ok(ServtdRead { field, uuid }),
        Err(status) => Err(ServtdError { status, uuid }),
    }
}

/// TDG.SERVTD.WR: writes the bits `mask` of a field of the target TD; `Ok` holds the old
/// value. [ABI-G 2.11]
///
/// In RCX binding, RDX field, R8 value, R9 mask, R10-R13 UUID; out R8, R10-R13.
///
/// # Errors
/// As [`servtd_rd`], and METADATA_FIELD_NOT_WRITABLE, METADATA_FIELD_VALUE_NOT_VALID.
pub fn servtd_wr(
    binding: Binding,
    field: FieldId,
    value: u64,
    mask: u64,
    uuid: TdUuid,
) -> Result<u64, ServtdError> {
    let (status, (old, uuid)) = while_busy(|| {
        let old: u64;
        let [mut u0, mut u1, mut u2, mut u3] = uuid.0;
        // SAFETY: the leaf writes metadata, which is not memory, R8 and R10-R13.
        let status = unsafe {
            tdcall!(tdg::SERVTD_WR, in("rcx") binding.0, in("rdx") field.0,
                    inlateout("r8") value => old, in("r9") mask, inlateout("r10") u0,
                    inlateout("r11") u1, inlateout("r12") u2, inlateout("r13") u3,)
        };
        (status, (old, TdUuid([u0, u1, u2, u3])))
    });
    if status.is_success() { Ok(old) } else { Err(ServtdError { status, uuid }) }
}
