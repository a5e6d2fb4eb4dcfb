//! TDH.VP.*: vCPUs. [ABI-H 3.6, 3.9, 5]
#![expect(unsafe_code, reason = "SEAMCALL")]

use core::mem::offset_of;

use abi::exit::TdExitStatus;
use abi::field::FieldId;
use abi::leaf::{tdh, versioned};
use abi::{Hpa, Regs, Status};

use super::done;
use crate::retry::while_busy;

/// TDH.VP.CREATE: makes a vCPU with its TDVPR in page `tdvpr`. In RCX, RDX.
///
/// # Errors
/// TD state, PAGE_METADATA_INCORRECT.
///
/// # Safety
/// The page is the caller's to give.
pub unsafe fn vp_create(tdvpr: Hpa, tdr: Hpa) -> Result<(), Status> {
    let (status, ()) = while_busy(|| {
        // SAFETY: the page is the caller's to give; RAX alone is written.
        let status =
            unsafe { seamcall!(tdh::VP_CREATE, in("rcx") tdvpr.bits(), in("rdx") tdr.bits(),) };
        (status, ())
    });
    done(status)
}

/// TDH.VP.ADDCX: adds a control-structure page. In RCX page, RDX TDVPR.
///
/// # Errors
/// TDCX_NUM_INCORRECT, VCPU_STATE_INCORRECT, PAGE_METADATA_INCORRECT.
///
/// # Safety
/// The page is the caller's to give.
pub unsafe fn vp_addcx(page: Hpa, tdvpr: Hpa) -> Result<(), Status> {
    let (status, ()) = while_busy(|| {
        // SAFETY: the page is the caller's to give; RAX alone is written.
        let status =
            unsafe { seamcall!(tdh::VP_ADDCX, in("rcx") page.bits(), in("rdx") tdvpr.bits(),) };
        (status, ())
    });
    done(status)
}

/// TDH.VP.INIT version 1: puts the vCPU at its reset state; the guest starts with
/// `initial_rcx` in RCX and R8. In RCX TDVPR, RDX, R8 x2APIC id. Version 1 is newer than
/// module 1.5.01 and is what Linux uses. [ABI-H 3.1]
///
/// # Errors
/// OP_STATE_INCORRECT, TDCX_NUM_INCORRECT, MAX_VCPUS_EXCEEDED.
pub fn vp_init(tdvpr: Hpa, initial_rcx: u64, x2apic_id: u32) -> Result<(), Status> {
    let (status, ()) = while_busy(|| {
        // SAFETY: writes pages that are the module's; RAX alone is written.
        let status = unsafe {
            seamcall!(versioned(tdh::VP_INIT, 1), in("rcx") tdvpr.bits(), in("rdx") initial_rcx,
                      in("r8") u64::from(x2apic_id),)
        };
        (status, ())
    });
    done(status)
}

/// TDH.VP.RD: reads a field of the vCPU. In RCX TDVPR, RDX field; out R8.
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

/// TDH.VP.WR: writes the bits `mask` of a field of the vCPU. In RCX TDVPR, RDX field, R8
/// value, R9 mask; out R8, the old value.
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

/// TDH.VP.FLUSH: takes the vCPU off this processor. In RCX.
///
/// # Errors
/// VCPU_NOT_ASSOCIATED, TD_KEYS_NOT_CONFIGURED.
pub fn vp_flush(tdvpr: Hpa) -> Result<(), Status> {
    let (status, ()) = while_busy(|| {
        // SAFETY: changes module state alone; RAX alone is written.
        (unsafe { seamcall!(tdh::VP_FLUSH, in("rcx") tdvpr.bits(),) }, ())
    });
    done(status)
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
/// # Safety
/// What the TD may reach by shared memory is given to it: no Rust object lies there. A
/// TD exit leaves x87 and XMM state undefined, which the compiler is told, and the other
/// state of [ABI-H 5.10] is the caller's to restore.
pub unsafe fn vp_enter(tdvpr: Hpa, regs: &mut Regs) -> TdExitStatus {
    regs.rcx = tdvpr.bits();
    // SAFETY: reads and writes `regs` alone; RBX and RBP are kept on the stack, all other
    // general-purpose and vector registers are declared clobbered. The pointer is pushed
    // before the call and popped after it, RAX spilled between.
    let status = unsafe {
        seamcall!(tdh::VP_ENTER,
            before ["push rbp", "push rbx", "push rdi",
             "mov rcx, [rdi + {rcx}]", "mov rdx, [rdi + {rdx}]", "mov rbx, [rdi + {rbx}]",
             "mov rsi, [rdi + {rsi}]", "mov r8, [rdi + {r8}]", "mov r9, [rdi + {r9}]",
             "mov r10, [rdi + {r10}]", "mov r11, [rdi + {r11}]", "mov r12, [rdi + {r12}]",
             "mov r13, [rdi + {r13}]", "mov r14, [rdi + {r14}]", "mov r15, [rdi + {r15}]",
             "mov rdi, [rdi + {rdi}]"],
            after ["push rax", "mov rax, [rsp + 8]",
             "mov [rax + {rcx}], rcx", "mov [rax + {rdx}], rdx", "mov [rax + {rbx}], rbx",
             "mov [rax + {rsi}], rsi", "mov [rax + {rdi}], rdi", "mov [rax + {r8}], r8",
             "mov [rax + {r9}], r9", "mov [rax + {r10}], r10", "mov [rax + {r11}], r11",
             "mov [rax + {r12}], r12", "mov [rax + {r13}], r13", "mov [rax + {r14}], r14",
             "mov [rax + {r15}], r15", "pop rax", "add rsp, 8", "pop rbx", "pop rbp"],
            scrub ["rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"],
            inlateout("rdi") &raw mut *regs => _,
            out("rcx") _, out("rdx") _, out("rsi") _, out("r8") _, out("r9") _, out("r10") _,
            out("r11") _, out("r12") _, out("r13") _, out("r14") _, out("r15") _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
            out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            rcx = const offset_of!(Regs, rcx), rdx = const offset_of!(Regs, rdx),
            rbx = const offset_of!(Regs, rbx), rsi = const offset_of!(Regs, rsi),
            rdi = const offset_of!(Regs, rdi), r8 = const offset_of!(Regs, r8),
            r9 = const offset_of!(Regs, r9), r10 = const offset_of!(Regs, r10),
            r11 = const offset_of!(Regs, r11), r12 = const offset_of!(Regs, r12),
            r13 = const offset_of!(Regs, r13), r14 = const offset_of!(Regs, r14),
            r15 = const offset_of!(Regs, r15),
        )
    };
    regs.rax = status.0;
    TdExitStatus(status.0)
}
