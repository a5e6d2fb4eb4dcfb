//! Ends with the verdict that a check failed.
#![no_std]
#![no_main]

use kernel::{Kernel, Verdict, println};

kernel::main!(check_fails);

fn check_fails(_: &mut Kernel) -> Verdict {
    println!("FAIL a check that always fails");
    Verdict::CheckFailed
}
