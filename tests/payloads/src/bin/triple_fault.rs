//! Faults without an IDT.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "takes the IDT away")]

use core::arch::asm;

use kernel::{Kernel, Verdict};

kernel::main!(triple_fault);

fn triple_fault(_: &mut Kernel) -> Verdict {
    let no_table = [0_u16; 5];
    // SAFETY: the CPU shuts down here; nothing runs afterwards.
    unsafe { asm!("lidt [{}]", "ud2", in(reg) &raw const no_table, options(noreturn)) }
}
