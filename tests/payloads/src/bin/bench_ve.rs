//! One instruction of each cause of #VE, between two addresses that it prints, and the same
//! accesses made without the exception: `cargo xtask bench ve` counts what runs between.
//!
//! Each is executed twice: the first time may fill the processor's and the host's tables.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "instructions that raise #VE")]

use core::arch::asm;

use kernel::io::{Mmio, Port};
use kernel::{Kernel, Verdict, println};

kernel::main!(bench);

/// A port without effect. [TDVF 5]
const POST: u16 = 0x80;
/// Where every PC has its IOAPIC.
const IOAPIC: u64 = 0xFEC0_0000;
const APIC_BASE: u32 = 0x1B;
/// The local APIC's timer entry, and its value at reset: masked.
const LVT_TIMER: u32 = 0x832;
const MASKED: u32 = 1 << 16;
const SELF_IPI: u32 = 0x83F;
/// A vector that wakes the processor, and one below 16, which no interrupt may have.
const WAKE: u32 = 0x40;
const ILLEGAL: u32 = 5;
const HYPERVISOR: u32 = 0x4000_0000;
/// A leaf that the module leaves to #VE and that no host is asked for.
const POWER: u32 = 6;

/// Executes one instruction twice and prints where it begins and ends. RAX, RCX and RDX hold
/// the operands; RBX is kept for CPUID; a `call` finds the stack aligned, and the function's
/// argument, a pointer, in RDI. The instruction may be refused: it has a landing behind it.
macro_rules! row {
    ($name:literal, $instruction:literal, $rax:expr, $rcx:expr, $rdx:expr $(, $called:path)?) => {
        row!($name, before "", $instruction, $rax, $rcx, $rdx, argument 0_u64 $(, $called)?)
    };
    ($name:literal, before $before:literal, $instruction:literal,
     $rax:expr, $rcx:expr, $rdx:expr, argument $argument:expr $(, $called:path)?) => {
        let (mut from, mut to) = (0_u64, 0_u64);
        for _ in 0..2 {
            // SAFETY: the kernel emulates the instruction, and its operands do no harm.
            unsafe {
                asm!(
                    "push rbx",
                    "push rbx",
                    "lea r12, [rip + 2f]",
                    "lea r13, [rip + 3f]",
                    $before,
                    "2:", $instruction,
                    "3:", "pop rbx",
                    "pop rbx",
                    ".pushsection .extable, \"a\"",
                    ".balign 8",
                    ".quad 2b, 3b",
                    ".popsection",
                    $(called = sym $called,)?
                    out("r12") from, out("r13") to,
                    inlateout("rax") u64::from($rax) => _,
                    inlateout("rcx") u64::from($rcx) => _,
                    inlateout("rdx") u64::from($rdx) => _,
                    inlateout("rdi") $argument => _,
                    clobber_abi("C"),
                );
            }
        }
        println!("bench: {} {from:#x} {to:#x}", $name);
    };
}

fn bench(kernel: &mut Kernel) -> Verdict {
    let device = kernel.memory.map_device(IOAPIC);
    let ioapic = device.register(0).expose_provenance() as u64;
    asked(ioapic);
    not_asked();
    if let Some(register) = Mmio::<u32>::new(&device, 0) {
        let argument = (&raw const register).expose_provenance();
        direct(argument);
    }
    Verdict::Passed
}

/// What the host is asked.
fn asked(ioapic: u64) {
    row!("cpuid", "cpuid", HYPERVISOR, 0_u8, 0_u8);
    // A self-IPI ends it at once; its handler is counted, too.
    row!("hlt", before "cli\nwrmsr\nsti", "hlt", WAKE, SELF_IPI, 0_u8, argument 0_u64);
    // SAFETY: as it was before.
    unsafe { asm!("cli") };
    row!("io_out_1", "out dx, al", 0_u8, 0_u8, POST);
    row!("io_out_4", "out dx, eax", 0_u8, 0_u8, POST);
    row!("io_in_1", "in al, dx", 0_u8, 0_u8, POST);
    row!("rdmsr", "rdmsr", 0_u8, APIC_BASE, 0_u8);
    row!("wrmsr", "wrmsr", MASKED, LVT_TIMER, 0_u8);
    row!("mmio_read_4", "mov eax, [rdx]", 0_u8, 0_u8, ioapic);
    row!("mmio_write_4", "mov [rdx], eax", 0_u8, 0_u8, ioapic);
    row!("mmio_or_4", "or [rdx], eax", 0_u8, 0_u8, ioapic);
    row!("wbinvd", "wbinvd", 0_u8, 0_u8, 0_u8);
    row!("pconfig", "pconfig", 0_u8, 0_u8, 0_u8);
}

/// What is answered or refused in the trust domain.
fn not_asked() {
    let (cr0, line): (u64, u64);
    // SAFETY: reading a control register has no effect.
    unsafe { asm!("mov {}, cr0", "mov {}, rsp", out(reg) cr0, out(reg) line) };
    row!("cpuid_local", "cpuid", POWER, 0_u8, 0_u8);
    row!("invd", "invd", 0_u8, 0_u8, 0_u8);
    row!("vmcall", "vmcall", 0_u8, 0_u8, 0_u8);
    row!("cr_access", "mov cr0, rax", cr0 | 1 << 30, 0_u8, 0_u8);
    row!("mwait", "mwait", 0_u8, 0_u8, 0_u8);
    row!("monitor", "monitor", line, 0_u8, 0_u8);
    row!("apic_write", "wrmsr", ILLEGAL, SELF_IPI, 0_u8);
}

/// The same accesses by call: no exception.
fn direct(register: usize) {
    row!("direct_io_out_1", "call {called}", 0_u8, 0_u8, 0_u8, direct_out);
    row!("direct_io_in_1", "call {called}", 0_u8, 0_u8, 0_u8, direct_in);
    row!("direct_mmio_read_4", before "", "call {called}", 0_u8, 0_u8, 0_u8, argument register, direct_read);
    row!("direct_mmio_write_4", before "", "call {called}", 0_u8, 0_u8, 0_u8, argument register, direct_write);
}

// What the host answers is of no interest here: the accesses succeed on every PC.

extern "C" fn direct_out() {
    let _is_done = Port::<u8>::new(POST).write(0).is_ok();
}

extern "C" fn direct_in() {
    let _is_done = Port::<u8>::new(POST).read().is_ok();
}

extern "C" fn direct_read(register: &Mmio<u32>) {
    let _is_done = register.read().is_ok();
}

extern "C" fn direct_write(register: &Mmio<u32>) {
    let _is_done = register.write(0).is_ok();
}
