//! TDH.SYS.*: asking the module, and its end. [ABI-H 3.5]
#![expect(unsafe_code, reason = "SEAMCALL")]

use abi::field::FieldId;
use abi::leaf::tdh;
use abi::sysinfo::{CmrTable, MAX_CMRS, TdSysInfo};
use abi::{Hpa, Status};

use super::{FieldRead, done, plain_leaf};
use crate::error::next_field;
use crate::retry::{while_busy, while_system_busy};

/// TDH.SYS.RD: reads a global field. In RDX field; out R8 value, RDX next field.
/// [ABI-H 3.5]
///
/// # Errors
/// METADATA_FIELD_ID_INCORRECT, SYS_LP_INIT_NOT_DONE. The null id gives 0.
pub fn sys_rd(field: FieldId) -> Result<u64, Status> {
    sys_rd_next(field).map(|read| read.value.unwrap_or(0))
}

/// TDH.SYS.RD with the id of the next field. In RDX field; out R8 value, RDX next field.
/// [ABI-H 3.5]
///
/// # Errors
/// As [`sys_rd`]; the null id gives the first field's id.
pub fn sys_rd_next(field: FieldId) -> Result<FieldRead, Status> {
    let (next, value): (u64, u64);
    // SAFETY: reads module state; RDX and R8 are outputs.
    let status =
        unsafe { seamcall!(tdh::SYS_RD, inlateout("rdx") field.0 => next, lateout("r8") value,) };
    FieldRead::from_regs(status, next, value)
}

/// TDH.SYS.RDALL: fills the shared page `list` (4 KiB aligned) with global fields from `first`
/// on ([`FieldId::NULL`]: from the beginning). `Ok(None)`: all are there; `Ok(Some(field))`:
/// the page is full, go on with this one. In RDX page, R8 field; out R8 next field.
/// [ABI-H 3.5]
///
/// # Errors
/// OPERAND_INVALID, METADATA_FIELD_ID_INCORRECT, SYS_LP_INIT_NOT_DONE.
///
/// # Safety
/// No Rust object lies in the page.
pub unsafe fn sys_rdall(list: Hpa, first: FieldId) -> Result<Option<FieldId>, Status> {
    let next: u64;
    // SAFETY: writes R8 and the page, which is the caller's to give.
    let status = unsafe {
        seamcall!(tdh::SYS_RDALL, in("rdx") list.bits(), inlateout("r8") first.0 => next,)
    };
    if status.is_success() || status.is(Status::METADATA_LIST_OVERFLOW) {
        Ok(next_field(next))
    } else {
        Err(status)
    }
}

/// What TDH.SYS.INFO wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SysInfoSizes {
    /// RDX: bytes of TDSYSINFO_STRUCT.
    pub info_bytes: u64,
    /// R9: entries of the CMR table.
    pub cmrs: u64,
}

/// TDH.SYS.INFO: writes a [`TdSysInfo`] to `info` (1024-aligned) and a [`CmrTable`] to `cmrs`
/// (512-aligned), both in shared memory. In RCX info, RDX its bytes, R8 table, R9 its entries;
/// out RDX, R9. [ABI-H 3.5]
///
/// # Errors
/// SYS_LP_INIT_NOT_DONE, OPERAND_INVALID.
///
/// # Safety
/// No Rust object lies in the two buffers.
pub unsafe fn sys_info(info: Hpa, cmrs: Hpa) -> Result<SysInfoSizes, Status> {
    const _: () = assert!(size_of::<CmrTable>() == MAX_CMRS * 16);
    let (info_bytes, count): (u64, u64);
    // SAFETY: writes RDX, R9 and the buffers, which are the caller's to give.
    let status = unsafe {
        seamcall!(tdh::SYS_INFO, in("rcx") info.bits(),
                  inlateout("rdx") size_of::<TdSysInfo>() as u64 => info_bytes,
                  in("r8") cmrs.bits(), inlateout("r9") MAX_CMRS as u64 => count,)
    };
    done(status).map(|()| SysInfoSizes { info_bytes, cmrs: count })
}

/// TDH.SYS.LP.SHUTDOWN: does nothing, for compatibility. [ABI-H 3.5]
///
/// # Errors
/// None by the leaf itself.
pub fn sys_lp_shutdown() -> Result<(), Status> {
    plain_leaf!(tdh::SYS_LP_SHUTDOWN,)
}

/// TDH.SYS.SHUTDOWN: ends this module and hands its state to a next one, of handoff version
/// `version`. In RCX. [ABI-H 3.5]
///
/// # Errors
/// SYS_BUSY, SYS_NOT_READY, OPERAND_INVALID.
pub fn sys_shutdown(version: u16) -> Result<(), Status> {
    plain_leaf!(while_system_busy: tdh::SYS_SHUTDOWN, in("rcx") u64::from(version),)
}

/// TDH.SYS.UPDATE: takes the state of the module before this one. [ABI-H 3.5]
///
/// # Errors
/// SYS_BUSY, SYS_STATE_INCORRECT, SYS_INVALID_HANDOFF.
pub fn sys_update() -> Result<(), Status> {
    plain_leaf!(while_system_busy: tdh::SYS_UPDATE,)
}
