//! TDH.SYS.*: bringing the module up. [ABI-H 3.5]
#![expect(unsafe_code, reason = "SEAMCALL")]

use abi::leaf::tdh;
use abi::{Hpa, Status};

use super::{LeafError, done, done_or, plain_leaf};
use crate::retry::{while_busy, while_system_busy};

/// TDH.SYS.INIT: once. In RCX = 0; on a CPUID error RCX = leaf | sub-leaf << 32, RDX mask.
/// [ABI-H 3.5]
///
/// # Errors
/// SYS_INIT_NOT_PENDING if it was done; platform checks.
pub fn sys_init() -> Result<(), LeafError> {
    let (status, (rcx, rdx)) = while_system_busy(|| {
        let (rcx, rdx): (u64, u64);
        // SAFETY: changes module state alone; RCX, RDX, R8-R10 are outputs.
        let status = unsafe {
            seamcall!(tdh::SYS_INIT, inlateout("rcx") 0_u64 => rcx, lateout("rdx") rdx,
                      lateout("r8") _, lateout("r9") _, lateout("r10") _,)
        };
        (status, (rcx, rdx))
    });
    done_or(status, rcx, rdx)
}

/// TDH.SYS.LP.INIT: once on each logical processor. Out RCX, RDX, R8 as for SYS.INIT.
/// [ABI-H 3.5]
///
/// # Errors
/// SYS_LP_INIT_NOT_PENDING, SYS_LP_INIT_DONE; platform checks.
pub fn sys_lp_init() -> Result<(), LeafError> {
    let (status, (rcx, rdx)) = while_system_busy(|| {
        let (rcx, rdx): (u64, u64);
        // SAFETY: changes module state alone; RCX, RDX, R8 are outputs.
        let status = unsafe {
            seamcall!(tdh::SYS_LP_INIT, lateout("rcx") rcx, lateout("rdx") rdx, lateout("r8") _,)
        };
        (status, (rcx, rdx))
    });
    done_or(status, rcx, rdx)
}

/// TDH.SYS.CONFIG: tells the TDMRs. In RCX array of TDMR_INFO addresses (512-aligned), RDX
/// their number, R8 the global private HKID. [ABI-H 3.5]
///
/// # Errors
/// SYS_CONFIG_NOT_PENDING; OPERAND_INVALID; the TDMR checks (detail: TDMR index, area).
///
/// # Safety
/// The PAMT areas that the TDMR_INFOs name become the module's for ever.
pub unsafe fn sys_config(tdmr_infos: Hpa, count: usize, hkid: u16) -> Result<(), Status> {
    plain_leaf!(while_system_busy: tdh::SYS_CONFIG, in("rcx") tdmr_infos.bits(), in("rdx") count as u64,
                in("r8") u64::from(hkid),)
}

/// TDH.SYS.KEY.CONFIG: once on each package. [ABI-H 3.5]
///
/// # Errors
/// SYS_KEY_CONFIG_NOT_PENDING; KEY_GENERATION_FAILED or SYS_BUSY if it stays so.
pub fn sys_key_config() -> Result<(), Status> {
    plain_leaf!(while_system_busy: tdh::SYS_KEY_CONFIG,)
}

/// TDH.SYS.TDMR.INIT: initialises the next piece of a TDMR's PAMT; `Ok` holds the first
/// address not yet usable. In RCX base; out RDX. Call until it reaches the TDMR's end.
/// [ABI-H 3.5]
///
/// # Errors
/// SYS_NOT_READY, OPERAND_INVALID.
pub fn sys_tdmr_init(base: Hpa) -> Result<u64, Status> {
    let (status, next) = while_busy(|| {
        let next: u64;
        // SAFETY: writes PAMT memory, which is the module's since SYS.CONFIG.
        let status =
            unsafe { seamcall!(tdh::SYS_TDMR_INIT, in("rcx") base.bits(), lateout("rdx") next,) };
        (status, next)
    });
    done(status).map(|()| next)
}
