//! The harness: every register loaded, one call, every register taken as it was left.
//!
//! * Before the call each register holds what [`call`] was given, but RSP, which is aligned
//!   as at every call of the C ABI; nothing of the harness is in a register.
//! * The call is the last instruction before and the first stores after it address memory
//!   by RIP alone, so that no register is needed to save one.
//! * The registers that the harness's own caller wants back are on the stack meanwhile.
//!
//! It works for functions and for single instructions with a `ret` behind them.
#![expect(unsafe_code, reason = "loads and stores every register")]
#![expect(clippy::too_many_lines, reason = "one instruction a line")]

use core::arch::naked_asm;
use core::cell::UnsafeCell;
use core::mem::{MaybeUninit, offset_of};

use abi::RegisterFile;

/// What is called: a function of the C ABI, whose arguments are in the registers.
pub(crate) type Target = *const ();

/// Registers in memory that assembly addresses.
struct Bank(UnsafeCell<MaybeUninit<RegisterFile>>);

// SAFETY: there is one CPU, and `call` alone uses the banks, one call at a time.
unsafe impl Sync for Bank {}

impl Bank {
    const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::zeroed()))
    }

    fn put(&self, file: &RegisterFile) {
        // SAFETY: nothing else uses the bank now: see above.
        unsafe { (*self.0.get()).write(*file) };
    }

    fn get(&self) -> RegisterFile {
        // SAFETY: nothing else uses the bank now, and every bit pattern is a register's.
        unsafe { (*self.0.get()).assume_init() }
    }
}

static BEFORE: Bank = Bank::new();
static AFTER: Bank = Bank::new();

/// Calls `target` with the registers of `before`, whose RSP is set to what it is at the call;
/// gives the registers behind it.
///
/// # Safety
/// `target` keeps to the C ABI (or changes only registers that `before` may have changed),
/// and the call is sound with these arguments.
pub(crate) unsafe fn call(target: Target, before: &mut RegisterFile) -> RegisterFile {
    BEFORE.put(before);
    // SAFETY: the switch keeps what its caller wants back, and what is called is sound by the
    // caller's promise.
    unsafe { switch(target) };
    *before = BEFORE.get();
    AFTER.get()
}

/// The call. In: RDI = what to call. Out: the banks. Keeps what the C ABI keeps; the stack
/// below its own seven pushes is the callee's.
///
/// # Safety
/// That of [`call`].
#[unsafe(naked)]
unsafe extern "sysv64" fn switch(target: Target) {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push rdi", // seven pushes and the return address: RSP is aligned to 16
        "mov [rip + {before} + {rsp}], rsp",
        "movaps xmm0, [rip + {before} + {xmm}]",
        "movaps xmm1, [rip + {before} + {xmm} + 0x10]",
        "movaps xmm2, [rip + {before} + {xmm} + 0x20]",
        "movaps xmm3, [rip + {before} + {xmm} + 0x30]",
        "movaps xmm4, [rip + {before} + {xmm} + 0x40]",
        "movaps xmm5, [rip + {before} + {xmm} + 0x50]",
        "movaps xmm6, [rip + {before} + {xmm} + 0x60]",
        "movaps xmm7, [rip + {before} + {xmm} + 0x70]",
        "movaps xmm8, [rip + {before} + {xmm} + 0x80]",
        "movaps xmm9, [rip + {before} + {xmm} + 0x90]",
        "movaps xmm10, [rip + {before} + {xmm} + 0xA0]",
        "movaps xmm11, [rip + {before} + {xmm} + 0xB0]",
        "movaps xmm12, [rip + {before} + {xmm} + 0xC0]",
        "movaps xmm13, [rip + {before} + {xmm} + 0xD0]",
        "movaps xmm14, [rip + {before} + {xmm} + 0xE0]",
        "movaps xmm15, [rip + {before} + {xmm} + 0xF0]",
        "mov rax, [rip + {before} + {rax}]",
        "mov rcx, [rip + {before} + {rcx}]",
        "mov rdx, [rip + {before} + {rdx}]",
        "mov rbx, [rip + {before} + {rbx}]",
        "mov rbp, [rip + {before} + {rbp}]",
        "mov rsi, [rip + {before} + {rsi}]",
        "mov rdi, [rip + {before} + {rdi}]",
        "mov r8, [rip + {before} + {r8}]",
        "mov r9, [rip + {before} + {r9}]",
        "mov r10, [rip + {before} + {r10}]",
        "mov r11, [rip + {before} + {r11}]",
        "mov r12, [rip + {before} + {r12}]",
        "mov r13, [rip + {before} + {r13}]",
        "mov r14, [rip + {before} + {r14}]",
        "mov r15, [rip + {before} + {r15}]",
        "call qword ptr [rsp]",
        "mov [rip + {after} + {rax}], rax",
        "mov [rip + {after} + {rcx}], rcx",
        "mov [rip + {after} + {rdx}], rdx",
        "mov [rip + {after} + {rbx}], rbx",
        "mov [rip + {after} + {rsp}], rsp",
        "mov [rip + {after} + {rbp}], rbp",
        "mov [rip + {after} + {rsi}], rsi",
        "mov [rip + {after} + {rdi}], rdi",
        "mov [rip + {after} + {r8}], r8",
        "mov [rip + {after} + {r9}], r9",
        "mov [rip + {after} + {r10}], r10",
        "mov [rip + {after} + {r11}], r11",
        "mov [rip + {after} + {r12}], r12",
        "mov [rip + {after} + {r13}], r13",
        "mov [rip + {after} + {r14}], r14",
        "mov [rip + {after} + {r15}], r15",
        "movaps [rip + {after} + {xmm}], xmm0",
        "movaps [rip + {after} + {xmm} + 0x10], xmm1",
        "movaps [rip + {after} + {xmm} + 0x20], xmm2",
        "movaps [rip + {after} + {xmm} + 0x30], xmm3",
        "movaps [rip + {after} + {xmm} + 0x40], xmm4",
        "movaps [rip + {after} + {xmm} + 0x50], xmm5",
        "movaps [rip + {after} + {xmm} + 0x60], xmm6",
        "movaps [rip + {after} + {xmm} + 0x70], xmm7",
        "movaps [rip + {after} + {xmm} + 0x80], xmm8",
        "movaps [rip + {after} + {xmm} + 0x90], xmm9",
        "movaps [rip + {after} + {xmm} + 0xA0], xmm10",
        "movaps [rip + {after} + {xmm} + 0xB0], xmm11",
        "movaps [rip + {after} + {xmm} + 0xC0], xmm12",
        "movaps [rip + {after} + {xmm} + 0xD0], xmm13",
        "movaps [rip + {after} + {xmm} + 0xE0], xmm14",
        "movaps [rip + {after} + {xmm} + 0xF0], xmm15",
        "mov rsp, [rip + {before} + {rsp}]",
        "pop rdi",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
        before = sym BEFORE,
        after = sym AFTER,
        xmm = const offset_of!(RegisterFile, xmm),
        rax = const offset_of!(RegisterFile, gprs.rax),
        rcx = const offset_of!(RegisterFile, gprs.rcx),
        rdx = const offset_of!(RegisterFile, gprs.rdx),
        rbx = const offset_of!(RegisterFile, gprs.rbx),
        rsp = const offset_of!(RegisterFile, gprs.rsp),
        rbp = const offset_of!(RegisterFile, gprs.rbp),
        rsi = const offset_of!(RegisterFile, gprs.rsi),
        rdi = const offset_of!(RegisterFile, gprs.rdi),
        r8 = const offset_of!(RegisterFile, gprs.r8),
        r9 = const offset_of!(RegisterFile, gprs.r9),
        r10 = const offset_of!(RegisterFile, gprs.r10),
        r11 = const offset_of!(RegisterFile, gprs.r11),
        r12 = const offset_of!(RegisterFile, gprs.r12),
        r13 = const offset_of!(RegisterFile, gprs.r13),
        r14 = const offset_of!(RegisterFile, gprs.r14),
        r15 = const offset_of!(RegisterFile, gprs.r15),
    );
}
