//! Raises #VE where the stack ends: the stub of the exception does not fit any more.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "moves the stack pointer")]

use core::arch::asm;

use abi::PAGE_SIZE;
use kernel::memory::guard;
use kernel::{Kernel, Verdict, println};

kernel::main!(overflow);

/// What is left of the stack: red zone and the exception's words, not the registers.
const LEFT: u64 = 256;

fn overflow(_: &mut Kernel) -> Verdict {
    let guard = guard::pages().iter().find(|gap| gap.stack == "main");
    let end = guard.expect("the main stack has a guard page").page + PAGE_SIZE;
    println!("#VE with {LEFT} bytes of stack");
    // SAFETY: the exception does not return.
    unsafe {
        asm!("mov rsp, {}", "cpuid", "ud2", in(reg) end + LEFT, in("eax") 0x4000_0000,
             options(noreturn));
    }
}
