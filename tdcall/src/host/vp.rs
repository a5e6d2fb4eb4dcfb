//! TDH.VP.*: vCPUs. [ABI-H 3.6, 3.9, 5]
#![expect(unsafe_code, reason = "SEAMCALL")]

use abi::exit::TdExitStatus;
use abi::leaf::{tdh, versioned};
use abi::{Hpa, RegisterFile, Regs, Status};

use super::{done, plain_leaf};
use crate::retry::while_busy;

/// TDH.VP.CREATE: makes a vCPU with its TDVPR in page `tdvpr`. In RCX, RDX. [ABI-H 3.6]
///
/// # Errors
/// TD state, PAGE_METADATA_INCORRECT.
///
/// # Safety
/// The page is the caller's to give.
pub unsafe fn vp_create(tdvpr: Hpa, tdr: Hpa) -> Result<(), Status> {
    plain_leaf!(tdh::VP_CREATE, in("rcx") tdvpr.bits(), in("rdx") tdr.bits(),)
}

/// TDH.VP.ADDCX: adds a control-structure page. In RCX page, RDX TDVPR. [ABI-H 3.6]
///
/// # Errors
/// TDCX_NUM_INCORRECT, VCPU_STATE_INCORRECT, PAGE_METADATA_INCORRECT.
///
/// # Safety
/// The page is the caller's to give.
pub unsafe fn vp_addcx(page: Hpa, tdvpr: Hpa) -> Result<(), Status> {
    plain_leaf!(tdh::VP_ADDCX, in("rcx") page.bits(), in("rdx") tdvpr.bits(),)
}

/// TDH.VP.INIT version 1: puts the vCPU at its reset state; the guest starts with
/// `initial_rcx` in RCX and R8. In RCX TDVPR, RDX, R8 x2APIC id. Version 1 is newer than
/// module 1.5.01 and is what Linux uses. [ABI-H 3.1]
///
/// # Errors
/// OP_STATE_INCORRECT, TDCX_NUM_INCORRECT, MAX_VCPUS_EXCEEDED.
pub fn vp_init(tdvpr: Hpa, initial_rcx: u64, x2apic_id: u32) -> Result<(), Status> {
    plain_leaf!(versioned(tdh::VP_INIT, 1), in("rcx") tdvpr.bits(), in("rdx") initial_rcx,
                in("r8") u64::from(x2apic_id),)
}

/// TDH.VP.INIT version 0: the same without an x2APIC id, for modules as old as 1.5.01. In RCX
/// TDVPR, RDX. [ABI-H 3.6]
///
/// # Errors
/// As [`vp_init`].
pub fn vp_init_v0(tdvpr: Hpa, initial_rcx: u64) -> Result<(), Status> {
    plain_leaf!(tdh::VP_INIT, in("rcx") tdvpr.bits(), in("rdx") initial_rcx,)
}

/// TDH.VP.FLUSH: takes the vCPU off this processor. In RCX. [ABI-H 3.9]
///
/// # Errors
/// VCPU_NOT_ASSOCIATED, TD_KEYS_NOT_CONFIGURED.
pub fn vp_flush(tdvpr: Hpa) -> Result<(), Status> {
    plain_leaf!(tdh::VP_FLUSH, in("rcx") tdvpr.bits(),)
}

/// TDH.VP.ENTER: runs the vCPU until a TD exit.
///
/// `regs` goes in whole (after a VMCALL exit the guest takes the registers that its mask
/// names; `regs.rcx` is set here, `regs.rax`, `rsp` and `rbp` are not passed) and comes out
/// whole: exit information or the guest's registers. No retry. [ABI-H 5]
///
/// RBP is kept on the stack, so a module that clears it (1.5.01 does on asynchronous
/// exits, [ABI-H 5.6]) is as good as one that does not; `regs.rbp` is not written.
///
/// XMM0-15 go in as the compiler left them, which a TD sees that exposes them; what the TD
/// had in them is cleared. A VMM to which either matters has [`vp_enter_with_xmm`].
///
/// # Safety
/// What the TD may reach by shared memory is given to it: no Rust object lies there. A
/// TD exit leaves x87 state undefined and XMM state lost, which the compiler is told, and
/// the other state of [ABI-H 5.10] is the caller's to restore.
pub unsafe fn vp_enter(tdvpr: Hpa, regs: &mut Regs) -> TdExitStatus {
    regs.rcx = tdvpr.bits();
    // SAFETY: reads and writes `regs`; the rest is the caller's promise.
    let status = unsafe { seamcall_all!(tdh::VP_ENTER, regs) };
    TdExitStatus(status.0)
}

/// TDH.VP.ENTER: the same with XMM0-15, in and out, and with RBP: what `file.gprs.rbp` holds
/// goes in, what the module left in RBP comes out. [ABI-H 5.3, 5.4, 5.6]
///
/// # Safety
/// That of [`vp_enter`].
pub unsafe fn vp_enter_with_xmm(tdvpr: Hpa, file: &mut RegisterFile) -> TdExitStatus {
    file.gprs.rcx = tdvpr.bits();
    // SAFETY: reads and writes `file`; the rest is the caller's promise.
    let status = unsafe { seamcall_file!(tdh::VP_ENTER, file) };
    TdExitStatus(status.0)
}
