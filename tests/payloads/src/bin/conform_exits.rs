//! Makes a TDCALL that leaves the TD for good; which one depends on the VMM's pages.
#![no_std]
#![no_main]

use kernel::{Kernel, Verdict, println};
use payloads::conform::World;

kernel::main!(conform);

fn conform(kernel: &mut Kernel) -> Verdict {
    let status = World::new(kernel).leave_for_good();
    println!("FAIL the call came back: {status}");
    Verdict::CheckFailed
}
