//! Reads an MSR that is not on the kernel's list: a #VE that is not routed.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "RDMSR")]

use kernel::{Kernel, Verdict, println};

kernel::main!(read);

/// IA32_BIOS_SIGN_ID. [ABI-G 8]
const BIOS_SIGN_ID: u32 = 0x8B;

fn read(_: &mut Kernel) -> Verdict {
    // SAFETY: reading an MSR changes nothing; the kernel stops here.
    let value = unsafe { arch::msr::read(BIOS_SIGN_ID) };
    println!("FAIL the kernel let {value:#x} through");
    Verdict::CheckFailed
}
