//! One instruction of each cause of #VE, between two addresses that it prints, and the same
//! accesses made without the exception: `cargo xtask bench ve` counts what runs between.
//!
//! Each is executed twice: the first time may fill the processor's and the host's tables.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "instructions that raise #VE")]

use core::arch::asm;

use kernel::io::Port;
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
const HYPERVISOR: u32 = 0x4000_0000;

/// Executes one instruction twice and prints where it begins and ends. RAX, RCX and RDX hold
/// the operands; RBX is kept for CPUID; a `call` finds the stack aligned.
macro_rules! row {
    ($name:literal, $instruction:literal, $rax:expr, $rcx:expr, $rdx:expr $(, $called:path)?) => {
        let (mut from, mut to) = (0_u64, 0_u64);
        for _ in 0..2 {
            // SAFETY: the kernel emulates the instruction, and its operands do no harm.
            unsafe {
                asm!(
                    "push rbx",
                    "push rbx",
                    "lea r12, [rip + 2f]",
                    "lea r13, [rip + 3f]",
                    "2:", $instruction,
                    "3:", "pop rbx",
                    "pop rbx",
                    $(called = sym $called,)?
                    out("r12") from, out("r13") to,
                    inlateout("rax") u64::from($rax) => _,
                    inlateout("rcx") u64::from($rcx) => _,
                    inlateout("rdx") u64::from($rdx) => _,
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
    row!("io_out_1", "out dx, al", 0_u8, 0_u8, POST);
    row!("io_out_4", "out dx, eax", 0_u8, 0_u8, POST);
    row!("io_in_1", "in al, dx", 0_u8, 0_u8, POST);
    row!("cpuid", "cpuid", HYPERVISOR, 0_u8, 0_u8);
    row!("rdmsr", "rdmsr", 0_u8, APIC_BASE, 0_u8);
    row!("wrmsr", "wrmsr", MASKED, LVT_TIMER, 0_u8);
    row!("mmio_read_4", "mov eax, [rdx]", 0_u8, 0_u8, ioapic);
    row!("mmio_write_4", "mov [rdx], eax", 0_u8, 0_u8, ioapic);
    row!("direct_io_out_1", "call {called}", 0_u8, 0_u8, 0_u8, direct_out);
    row!("direct_io_in_1", "call {called}", 0_u8, 0_u8, 0_u8, direct_in);
    Verdict::Passed
}

extern "C" fn direct_out() {
    // The port exists on every PC; what the host answers is of no interest here.
    let _is_done = Port::<u8>::new(POST).write(0).is_ok();
}

extern "C" fn direct_in() {
    let _is_done = Port::<u8>::new(POST).read().is_ok();
}
