//! Exceptions and interrupts: one set of stubs, one handler.
//!
//! Contract of a handler: it gets the whole interrupted state, XMM included, may
//! change it, and returns to it. IF is 0. The stack it runs on:
//!
//! * Every gate switches to an IST stack, because prebuilt code may use the red zone
//!   below the interrupted stack pointer.
//! * The stub then moves the frame to the interrupted stack, below the red zone, and
//!   goes on there: the IST stack is free again, so handlers nest (a #VE inside a
//!   #VE handler is legal once VE_INFO was read).
//! * #DF, NMI, #MC and #PF stay on IST stacks of their own: they may come because the
//!   interrupted stack is the problem, or at any moment.
#![expect(unsafe_code, reason = "trap stubs, GDT, TSS and IDT")]

use core::arch::global_asm;
use core::fmt;
use core::mem::offset_of;
use core::sync::atomic::{AtomicUsize, Ordering};

use abi::Regs;
use x86_64::instructions::segmentation::{CS, DS, ES, SS, Segment};
use x86_64::instructions::tables::{lidt, load_tss};
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable};
use x86_64::structures::tss::TaskStateSegment;
use x86_64::{PrivilegeLevel, VirtAddr};

mod stacks;

pub use stacks::{Gap, Guarded, Packed, STACKS, Stacks};

/// Vectors that stay on their IST stack: NMI, #DF, #PF, #MC.
const STAY: u32 = 1 << 2 | 1 << 8 | 1 << 14 | 1 << 18;
/// Bytes below RSP that interrupted code may use. [System V ABI 3.2.2]
const RED_ZONE: usize = 128;

/// The interrupted state.
#[repr(C, align(16))]
#[derive(Clone, Debug)]
pub struct TrapFrame {
    /// FXSAVE image: x87, MXCSR, XMM.
    pub fx: [u8; 512],
    #[doc(hidden)]
    pub _rsvd_200: u64,
    /// General-purpose registers; `regs.rsp` is a copy and is not restored.
    pub regs: Regs,
    /// Vector 0-255.
    pub vector: u64,
    /// Error code, 0 where the exception has none.
    pub error: u64,
    /// Where to go on.
    pub rip: u64,
    /// Code segment.
    pub cs: u64,
    /// Flags.
    pub rflags: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Stack segment.
    pub ss: u64,
}

const _: () = assert!(offset_of!(TrapFrame, regs) == 520);
const _: () = assert!(size_of::<TrapFrame>() == 704);

impl Default for TrapFrame {
    /// An all-zero frame, for tests of handlers.
    fn default() -> Self {
        Self {
            fx: [0; 512],
            _rsvd_200: 0,
            regs: Regs::default(),
            vector: 0,
            error: 0,
            rip: 0,
            cs: 0,
            rflags: 0,
            rsp: 0,
            ss: 0,
        }
    }
}

/// A trap handler.
pub type Handler = fn(&mut TrapFrame);

static HANDLER: AtomicUsize = AtomicUsize::new(0);

/// Descriptor tables and trap stacks of one CPU, in a [`crate::BootCell`].
///
/// All zero until [`init`], so that a static one costs no byte of the binary.
#[repr(C, align(16))]
pub struct Tables<S = Packed> {
    stacks: S,
    gates: [[u64; 2]; 256],
    gdt: Option<GlobalDescriptorTable>,
    tss: Option<TaskStateSegment>,
}

impl<S: Stacks> Tables<S> {
    /// Tables for [`init`].
    #[must_use]
    pub const fn new() -> Self {
        Self { stacks: S::EMPTY, gates: [[0; 2]; 256], gdt: None, tss: None }
    }
}

impl Tables<Guarded> {
    /// The gap page below each stack, for the one who unmaps it.
    #[must_use]
    pub fn gaps(&self) -> [Gap; STACKS] {
        self.stacks.gaps()
    }
}

impl<S: Stacks> Default for Tables<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> fmt::Debug for Tables<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables").finish_non_exhaustive()
    }
}

/// Loads GDT (code 0x08, data 0x10), TSS and IDT; from here on every exception and
/// interrupt calls `handler`.
///
/// # Safety
/// Runs in 64-bit mode at CPL 0, once a CPU, with interrupts off; `tables` is mapped at
/// the same address in every address space used from now on. Gaps need not be mapped once
/// this has returned.
pub unsafe fn init<S: Stacks>(tables: &'static mut Tables<S>, handler: Handler) {
    HANDLER.store(handler as usize, Ordering::Release);
    let tss = tables.tss.insert(TaskStateSegment::new());
    for (index, top) in tables.stacks.tops().into_iter().enumerate() {
        tss.interrupt_stack_table[index] = VirtAddr::from_ptr(top);
    }
    for (vector, entry) in (0..=255).zip(&mut tables.gates) {
        *entry = gate(vector);
    }
    let gdt = tables.gdt.insert(GlobalDescriptorTable::new());
    let code = gdt.append(Descriptor::kernel_code_segment());
    let data = gdt.append(Descriptor::kernel_data_segment());
    let task = gdt.append(Descriptor::tss_segment(tss));
    gdt.load();
    let idt = DescriptorTablePointer {
        limit: (size_of_val(&tables.gates) - 1) as u16,
        base: VirtAddr::from_ptr(&raw const tables.gates),
    };
    // SAFETY: the gates lead to the stubs, and the table stays mapped for ever.
    unsafe { lidt(&idt) };
    // SAFETY: `code` names the flat 64-bit code segment just appended and loaded.
    unsafe { CS::set_reg(code) };
    for set in [SS::set_reg, DS::set_reg, ES::set_reg] {
        // SAFETY: `data` names the flat data segment just appended and loaded.
        unsafe { set(data) };
    }
    // SAFETY: `task` names a TSS that lives for ever and is loaded only here.
    unsafe { load_tss(task) };
}

/// From here on `handler` is called instead of the one that [`init`] took or that was put
/// in its place; gives that one, for a handler that leaves most traps to it. `None` before
/// [`init`], which then takes no notice of `handler`.
pub fn replace_handler(handler: Handler) -> Option<Handler> {
    let old = HANDLER.swap(handler as usize, Ordering::AcqRel) as *const ();
    // SAFETY: zero is `None`, and anything else that was stored here is a `Handler`.
    unsafe { core::mem::transmute::<*const (), Option<Handler>>(old) }
}

/// IST index (0-4) of a vector.
const fn stack_of(vector: u8) -> u16 {
    match vector {
        8 => 1,
        2 => 2,
        18 => 3,
        14 => 4,
        _ => 0,
    }
}

/// The gate of `vector`, leading to its stub. A raw descriptor, because the typed
/// entries of vectors with error codes take only `x86-interrupt` functions.
fn gate(vector: u8) -> [u64; 2] {
    let stubs = &raw const arch_trap_stubs;
    let stub = stubs.addr() as u64 + u64::from(vector) * STUB_BYTES;
    let present_interrupt_gate = 0x8E00 | u64::from(PrivilegeLevel::Ring0 as u8) << 13;
    let low = stub & 0xFFFF
        | 0x08 << 16
        | u64::from(stack_of(vector) + 1) << 32
        | present_interrupt_gate << 32
        | (stub >> 16 & 0xFFFF) << 48;
    [low, stub >> 32]
}

/// Called by the stubs with the frame they built.
#[unsafe(no_mangle)]
extern "C" fn arch_trap_entry(frame: *mut TrapFrame) {
    let handler = HANDLER.load(Ordering::Acquire) as *const ();
    // SAFETY: the IDT with the stubs is loaded after `init` stored a `Handler` here, and
    // nothing else writes it.
    let handler = unsafe { core::mem::transmute::<*const (), Handler>(handler) };
    // SAFETY: the stub built a whole frame, aligned to 16, that nobody else knows of.
    let frame = unsafe { &mut *frame };
    handler(frame);
}

unsafe extern "C" {
    static arch_trap_stubs: u8;
}

/// Distance between stubs.
const STUB_BYTES: u64 = 16;

// Stubs: push an error code where the CPU does not, push the vector, meet.
//
// On entry to `arch_trap_common` the stack holds, from RSP up: vector, error code, RIP,
// CS, RFLAGS, RSP, SS. The vector's upper bytes are garbage (push sign-extends a byte).
global_asm!(
    ".pushsection .text.arch_trap, \"ax\"",
    ".balign 16",
    ".globl arch_trap_stubs",
    "arch_trap_stubs:",
    ".set arch_trap_vector, 0",
    ".rept 256",
    ".balign {stub_bytes}",
    ".if (arch_trap_vector == 8) || ((arch_trap_vector >= 10) && (arch_trap_vector <= 14)) || (arch_trap_vector == 17) || (arch_trap_vector == 21)",
    ".else",
    "push 0",
    ".endif",
    ".byte 0x6A, arch_trap_vector", // push imm8
    "jmp arch_trap_common",
    ".set arch_trap_vector, arch_trap_vector + 1",
    ".endr",
    ".balign 16",
    "arch_trap_common:",
    "push rax",
    "push rcx",
    "movzx eax, byte ptr [rsp + 16]",
    "mov [rsp + 16], rax",
    "cmp eax, 32",
    "jae 2f",
    "mov ecx, {stay}",
    "bt ecx, eax",
    "jc 3f",
    "2: test byte ptr [rsp + 40], 3", // from user mode: the IST stack is the only one
    "jnz 3f",
    // Move the nine quadwords below the red zone of the interrupted stack.
    "mov rcx, [rsp + 56]",
    "sub rcx, {red_zone}",
    "and rcx, -16",
    ".set arch_trap_offset, 0",
    ".rept 9",
    "mov rax, [rsp + arch_trap_offset]",
    "mov [rcx + arch_trap_offset - 72], rax",
    ".set arch_trap_offset, arch_trap_offset + 8",
    ".endr",
    "lea rsp, [rcx - 72]",
    // RCX and RAX stand where R14 and R15 belong.
    "3: sub rsp, 112",
    "mov [rsp + {rdx}], rdx",
    "mov [rsp + {rbx}], rbx",
    "mov [rsp + {rbp}], rbp",
    "mov [rsp + {rsi}], rsi",
    "mov [rsp + {rdi}], rdi",
    "mov [rsp + {r8}], r8",
    "mov [rsp + {r9}], r9",
    "mov [rsp + {r10}], r10",
    "mov [rsp + {r11}], r11",
    "mov [rsp + {r12}], r12",
    "mov [rsp + {r13}], r13",
    "mov rax, [rsp + {r15}]",
    "mov rcx, [rsp + {r14}]",
    "mov [rsp + {rax}], rax",
    "mov [rsp + {rcx}], rcx",
    "mov [rsp + {r14}], r14",
    "mov [rsp + {r15}], r15",
    "mov rax, [rsp + 128 + 40]",
    "mov [rsp + {rsp}], rax",
    "sub rsp, {regs}",
    "fxsave64 [rsp]",
    "mov rdi, rsp",
    "cld",
    "call arch_trap_entry",
    "fxrstor64 [rsp]",
    "add rsp, {regs}",
    "mov rax, [rsp + {rax}]",
    "mov rcx, [rsp + {rcx}]",
    "mov rdx, [rsp + {rdx}]",
    "mov rbx, [rsp + {rbx}]",
    "mov rbp, [rsp + {rbp}]",
    "mov rsi, [rsp + {rsi}]",
    "mov rdi, [rsp + {rdi}]",
    "mov r8, [rsp + {r8}]",
    "mov r9, [rsp + {r9}]",
    "mov r10, [rsp + {r10}]",
    "mov r11, [rsp + {r11}]",
    "mov r12, [rsp + {r12}]",
    "mov r13, [rsp + {r13}]",
    "mov r14, [rsp + {r14}]",
    "mov r15, [rsp + {r15}]",
    "add rsp, 128 + 16",
    "iretq",
    ".popsection",
    stub_bytes = const STUB_BYTES,
    stay = const STAY,
    red_zone = const RED_ZONE,
    regs = const offset_of!(TrapFrame, regs),
    rax = const offset_of!(Regs, rax),
    rcx = const offset_of!(Regs, rcx),
    rdx = const offset_of!(Regs, rdx),
    rbx = const offset_of!(Regs, rbx),
    rsp = const offset_of!(Regs, rsp),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_handler_comes_back() {
        fn first(_: &mut TrapFrame) {}
        fn second(frame: &mut TrapFrame) {
            frame.rip = 7;
        }
        assert!(replace_handler(first).is_none());
        assert!(replace_handler(second).is_some());
        let mut frame = TrapFrame::default();
        replace_handler(first).unwrap()(&mut frame);
        assert_eq!(frame.rip, 7);
    }

    #[test]
    fn the_vectors_that_stay_have_stacks_of_their_own() {
        for vector in 0..=255u8 {
            let stays = vector < 32 && STAY >> vector & 1 == 1;
            assert_eq!(stack_of(vector) != 0, stays, "vector {vector}");
        }
    }

    #[test]
    fn the_stubs_are_evenly_spaced() {
        let stubs = &raw const arch_trap_stubs;
        for vector in [0usize, 8, 14, 20, 128, 255] {
            // SAFETY: inside the 256 stubs of the text section.
            let byte = |offset: usize| unsafe { *stubs.add(vector * 16 + offset) };
            let has_error = matches!(vector, 8 | 14);
            let at = if has_error { 0 } else { 2 };
            assert_eq!((byte(at), byte(at + 1)), (0x6A, vector as u8));
        }
    }
}
