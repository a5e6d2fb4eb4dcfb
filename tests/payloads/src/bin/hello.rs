//! Prints a line and passes.
#![no_std]
#![no_main]

use kernel::{Kernel, Verdict, println};

kernel::main!(hello);

fn hello(_: &mut Kernel) -> Verdict {
    println!("hello from a trust domain");
    Verdict::Passed
}
