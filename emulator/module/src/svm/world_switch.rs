//! VMRUN and what it does not switch: GPRs and the FP state. [APM2 15.5], [SVM B2]
//!
//! The module's Rust code uses SSE registers, and so do the guests, and VMRUN
//! switches none of them. Hence the guest's x87, SSE and AVX state is in its XSAVE
//! area from the moment [`run`] returns to the moment it is called again, with all
//! of XCR0 enabled for the module while it is outside.
#![expect(unsafe_code, reason = "VMRUN")]
#![expect(clippy::too_many_lines, reason = "one instruction a line")]

use core::arch::naked_asm;
use core::mem::offset_of;

use abi::Regs;

use super::vmcb::{Control, Vmcb};

/// A guest, for the switch.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Guest {
    /// Physical address of the VMCB.
    pub vmcb: u64,
    /// Address of the GPRs, in the layout of [`Regs`].
    pub gprs: u64,
    /// Address of the XSAVE area.
    pub xsave: u64,
    /// XCR0 while the guest runs; updated, since a guest may change it. [SVM B1.2]
    pub xcr0: u64,
}

/// The module's side of the switch.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Host {
    /// Page with the module's own VMSAVE state.
    vmcb: u64,
    /// XCR0 of the module: all that is switched.
    xcr0: u64,
    /// CR0 of the module, written again after each exit. [SVM B1.24]
    cr0: u64,
}

impl Host {
    /// Captures the module's state.
    ///
    /// # Safety
    /// SVM is on, the descriptor tables are loaded for good, the CPU supports `xcr0`, and
    /// the page at `vmcb` is the module's and used by nothing else.
    pub(super) unsafe fn capture(vmcb: u64, xcr0: u64) -> Self {
        // SAFETY: the caller's promise.
        unsafe { super::cpu::vmsave(vmcb) };
        // SAFETY: the caller's promise.
        unsafe { super::cpu::set_xcr0(xcr0) };
        Self { vmcb, xcr0, cr0: super::cpu::cr0() }
    }

    /// XCR0 of the module.
    #[must_use]
    pub(super) const fn xcr0(&self) -> u64 {
        self.xcr0
    }
}

/// Runs the guest until its next exit.
///
/// # Safety
/// 1. The addresses in `guest` are mapped where they say and belong to one vCPU: a VMCB
///    page whose nested page tables keep the guest out of the module's memory, a
///    [`Regs`], and an XSAVE area aligned to 64 that holds a valid image.
/// 2. No Rust reference to any of the three is alive.
/// 3. `guest.xcr0` is valid for this CPU.
pub(super) unsafe fn run(host: &Host, guest: &mut Guest) {
    let vmcb = core::ptr::with_exposed_provenance_mut::<Vmcb>(guest.vmcb as usize);
    let gprs = core::ptr::with_exposed_provenance_mut::<Regs>(guest.gprs as usize);
    // SAFETY: (1) and (2). The VMCB holds RAX and RSP while the guest runs.
    unsafe { ((*vmcb).save.rax, (*vmcb).save.rsp) = ((*gprs).rax, (*gprs).rsp) };
    // SAFETY: the contract of `switch` is this function's.
    unsafe { switch(guest, host) };
    // SAFETY: as above.
    unsafe { ((*gprs).rax, (*gprs).rsp) = ((*vmcb).save.rax, (*vmcb).save.rsp) };
}

/// The switch. In: RDI = guest, RSI = host. GIF is 0 on entry and on return.
/// Clobbers what the C ABI lets it; MXCSR and the x87 control word come back as
/// the ABI's defaults, DF as 0.
///
/// # Safety
/// That of [`run`], and RAX and RSP of the guest are in its VMCB.
#[unsafe(naked)]
unsafe extern "sysv64" fn switch(guest: *mut Guest, host: *const Host) {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push rsi",
        "push rdi",
        // Guest FP state in, with all of the module's XCR0, then the guest's XCR0.
        "mov rbx, rdi",
        "mov eax, [rsi + {host_xcr0}]",
        "mov edx, [rsi + {host_xcr0} + 4]",
        "mov rcx, [rbx + {xsave}]",
        "xrstor64 [rcx]",
        "xor ecx, ecx",
        "mov eax, [rbx + {xcr0}]",
        "mov edx, [rbx + {xcr0} + 4]",
        "xsetbv",
        "mov rax, [rbx + {vmcb}]",
        "vmload rax",
        "mov rdi, [rbx + {gprs}]",
        "mov rcx, [rdi + {rcx}]",
        "mov rdx, [rdi + {rdx}]",
        "mov rbx, [rdi + {rbx}]",
        "mov rbp, [rdi + {rbp}]",
        "mov rsi, [rdi + {rsi}]",
        "mov r8, [rdi + {r8}]",
        "mov r9, [rdi + {r9}]",
        "mov r10, [rdi + {r10}]",
        "mov r11, [rdi + {r11}]",
        "mov r12, [rdi + {r12}]",
        "mov r13, [rdi + {r13}]",
        "mov r14, [rdi + {r14}]",
        "mov r15, [rdi + {r15}]",
        "mov rdi, [rdi + {rdi}]",
        // GIF is 0, so IF = 1 lets nothing in here; it lets interrupts end the run of a
        // guest with V_INTR_MASKING. QEMU 7.2 ignores the shadow in the VMCB, but hands the
        // shadow of this STI to the guest, whose own STI then casts none: so the guest gets
        // it if it has one, and else a NOP ends it. [SVM B1.7]
        "test byte ptr [rax + {shadow}], 1",
        "jnz 2f",
        "sti",
        "nop",
        "vmrun rax",
        "jmp 3f",
        "2: sti",
        "vmrun rax",
        "3: cli",
        "vmsave rax",
        "push rdi",
        // QEMU leaves the guest's CR0 in place, paging off, at an exit from a guest with
        // LME = 1, PG = 0 and PAE = 0; the map is the identity, so execution gets here.
        // [SVM B1.24]
        "mov rdi, [rsp + 16]",
        "mov rdi, [rdi + {host_cr0}]",
        "mov cr0, rdi",
        "mov rdi, [rsp + 8]",
        "mov rdi, [rdi + {gprs}]",
        "mov [rdi + {rcx}], rcx",
        "mov [rdi + {rdx}], rdx",
        "mov [rdi + {rbx}], rbx",
        "mov [rdi + {rbp}], rbp",
        "mov [rdi + {rsi}], rsi",
        "mov [rdi + {r8}], r8",
        "mov [rdi + {r9}], r9",
        "mov [rdi + {r10}], r10",
        "mov [rdi + {r11}], r11",
        "mov [rdi + {r12}], r12",
        "mov [rdi + {r13}], r13",
        "mov [rdi + {r14}], r14",
        "mov [rdi + {r15}], r15",
        "pop rax",
        "mov [rdi + {rdi}], rax",
        "pop rbx",
        "pop rsi",
        "mov rax, [rsi + {host_vmcb}]",
        "vmload rax",
        "xor ecx, ecx",
        "xgetbv",
        "mov [rbx + {xcr0}], eax",
        "mov [rbx + {xcr0} + 4], edx",
        "mov eax, [rsi + {host_xcr0}]",
        "mov edx, [rsi + {host_xcr0} + 4]",
        "xsetbv",
        "mov rcx, [rbx + {xsave}]",
        "xsave64 [rcx]",
        "fninit",
        "push {default_mxcsr}",
        "ldmxcsr [rsp]",
        "add rsp, 8",
        "cld",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
        vmcb = const offset_of!(Guest, vmcb),
        gprs = const offset_of!(Guest, gprs),
        xsave = const offset_of!(Guest, xsave),
        xcr0 = const offset_of!(Guest, xcr0),
        shadow = const offset_of!(Vmcb, control) + offset_of!(Control, interrupt_shadow),
        host_vmcb = const offset_of!(Host, vmcb),
        host_xcr0 = const offset_of!(Host, xcr0),
        host_cr0 = const offset_of!(Host, cr0),
        default_mxcsr = const 0x1F80,
        rcx = const offset_of!(Regs, rcx),
        rdx = const offset_of!(Regs, rdx),
        rbx = const offset_of!(Regs, rbx),
        rbp = const offset_of!(Regs, rbp),
        rsi = const offset_of!(Regs, rsi),
        rdi = const offset_of!(Regs, rdi),
        r8 = const offset_of!(Regs, r8),
        r9 = const offset_of!(Regs, r9),
        r10 = const offset_of!(Regs, r10),
        r11 = const offset_of!(Regs, r11),
        r12 = const offset_of!(Regs, r12),
        r13 = const offset_of!(Regs, r13),
        r14 = const offset_of!(Regs, r14),
        r15 = const offset_of!(Regs, r15),
    );
}
