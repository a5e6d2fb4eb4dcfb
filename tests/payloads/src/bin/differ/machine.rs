//! Runs a few bytes of code with all registers and flags given, and gives them back.
//!
//! The code lies in two pages of the program's own text, which is mapped executable and not
//! writable; it is written through the physical mapping.

use core::arch::global_asm;
use core::mem::offset_of;

use abi::{Gpr, PAGE_SIZE, Regs};
use kernel::Kernel;

use crate::encode::Code;

/// Registers and flags. RSP is not loaded.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct State {
    pub(crate) regs: Regs,
    pub(crate) rflags: u64,
}

/// Where code is put.
pub(crate) struct Machine {
    /// The pages, writable.
    pages: [*mut u8; 2],
}

unsafe extern "C" {
    /// The two pages.
    static differ_code: u8;
    /// Where the code jumps at its end.
    static differ_exit: u8;
    /// Loads `state`, jumps to `code`, stores into `state` at the end.
    fn differ_enter(state: *mut State, code: *const u8);
}

impl Machine {
    /// Finds the pages.
    pub(crate) fn new(kernel: &Kernel) -> Self {
        let code = (&raw const differ_code).addr() as u64;
        let page = |number: u64| {
            let physical = kernel.memory.physical_address(code + number * PAGE_SIZE);
            kernel.memory.physical(physical.expect("the program's text is mapped"))
        };
        Self { pages: [page(0), page(1)] }
    }

    /// Runs `code`, which begins at `offset` in the first page.
    pub(crate) fn run(&mut self, code: &Code, offset: usize, state: &mut State) {
        let mut whole = *code;
        // jmp qword ptr [rip + 0]
        whole.put(&[0xFF, 0x25, 0, 0, 0, 0]);
        whole.put(&(&raw const differ_exit).addr().to_le_bytes());
        for (place, byte) in (offset..).zip(whole.bytes()) {
            let page = self.pages[place / PAGE_SIZE as usize];
            // SAFETY: inside the page, of which the program reads nothing.
            unsafe { page.add(place % PAGE_SIZE as usize).write_volatile(*byte) };
        }
        // SAFETY: the code accesses the windows alone and ends at `differ_exit`.
        unsafe { differ_enter(state, (&raw const differ_code).add(offset)) };
    }

    /// RFLAGS now, with these of the flags.
    pub(crate) fn rflags(flags: u64) -> u64 {
        let now: u64;
        // SAFETY: reads the flags.
        unsafe { core::arch::asm!("pushfq", "pop {}", out(reg) now) };
        now & !crate::forms::FLAGS | flags
    }
}

const fn at(gpr: Gpr) -> usize {
    offset_of!(State, regs) + 8 * gpr as usize
}

// The state's registers are loaded, RDI last, because it is the pointer; popfq and mov do
// not disturb each other. At the exit only mov runs before the flags are stored.
global_asm!(
    ".pushsection .text.differ, \"ax\"",
    ".balign 4096",
    "differ_code: .fill 8192, 1, 0xCC",
    "differ_enter:",
    "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
    "mov [rip + differ_stack], rsp",
    "mov [rip + differ_state], rdi",
    "mov [rip + differ_to], rsi",
    "push qword ptr [rdi + {rflags}]",
    "popfq",
    "mov rax, [rdi + {rax}]", "mov rcx, [rdi + {rcx}]", "mov rdx, [rdi + {rdx}]",
    "mov rbx, [rdi + {rbx}]", "mov rbp, [rdi + {rbp}]", "mov rsi, [rdi + {rsi}]",
    "mov r8, [rdi + {r8}]", "mov r9, [rdi + {r9}]", "mov r10, [rdi + {r10}]",
    "mov r11, [rdi + {r11}]", "mov r12, [rdi + {r12}]", "mov r13, [rdi + {r13}]",
    "mov r14, [rdi + {r14}]", "mov r15, [rdi + {r15}]", "mov rdi, [rdi + {rdi}]",
    "jmp [rip + differ_to]",
    "differ_exit:",
    "mov [rip + differ_to], rdi",
    "mov rdi, [rip + differ_state]",
    "mov [rdi + {rax}], rax", "mov [rdi + {rcx}], rcx", "mov [rdi + {rdx}], rdx",
    "mov [rdi + {rbx}], rbx", "mov [rdi + {rbp}], rbp", "mov [rdi + {rsi}], rsi",
    "mov [rdi + {r8}], r8", "mov [rdi + {r9}], r9", "mov [rdi + {r10}], r10",
    "mov [rdi + {r11}], r11", "mov [rdi + {r12}], r12", "mov [rdi + {r13}], r13",
    "mov [rdi + {r14}], r14", "mov [rdi + {r15}], r15", "mov [rdi + {rsp}], rsp",
    "mov rsp, [rip + differ_stack]",
    "mov rax, [rip + differ_to]",
    "mov [rdi + {rdi}], rax",
    "pushfq",
    "pop qword ptr [rdi + {rflags}]",
    "cld",
    "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx",
    "ret",
    ".popsection",
    ".pushsection .bss.differ, \"aw\", @nobits",
    ".balign 8",
    "differ_stack: .skip 8",
    "differ_state: .skip 8",
    "differ_to: .skip 8",
    ".popsection",
    rflags = const offset_of!(State, rflags),
    rax = const at(Gpr::Rax), rcx = const at(Gpr::Rcx), rdx = const at(Gpr::Rdx),
    rbx = const at(Gpr::Rbx), rsp = const at(Gpr::Rsp), rbp = const at(Gpr::Rbp),
    rsi = const at(Gpr::Rsi), rdi = const at(Gpr::Rdi), r8 = const at(Gpr::R8),
    r9 = const at(Gpr::R9), r10 = const at(Gpr::R10), r11 = const at(Gpr::R11),
    r12 = const at(Gpr::R12), r13 = const at(Gpr::R13), r14 = const at(Gpr::R14),
    r15 = const at(Gpr::R15),
);
