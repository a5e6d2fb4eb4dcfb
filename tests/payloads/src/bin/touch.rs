//! Reads a private address that no memory was ever given for.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "reads where nothing is")]

use kernel::{Kernel, Verdict, println};

kernel::main!(touch);

/// Below 4 GiB, where the physical mapping reaches, and above memory and below devices.
const NOWHERE: u64 = 0xC800_0000;

fn touch(kernel: &mut Kernel) -> Verdict {
    let at = kernel.memory.physical(NOWHERE);
    println!("touching private address {NOWHERE:#x}");
    // SAFETY: no Rust object lies there; the read does not come back.
    let value = unsafe { at.read_volatile() };
    println!("FAIL the host gave {value:#x}");
    Verdict::CheckFailed
}
