//! Panics while it prints: file and line must come out all the same.
#![no_std]
#![no_main]

use core::fmt;

use kernel::{Kernel, Verdict, println};

kernel::main!(print);

fn print(_: &mut Kernel) -> Verdict {
    println!("about to {Bomb}");
    Verdict::Passed
}

struct Bomb;

#[expect(clippy::panic_in_result_fn, reason = "on purpose")]
impl fmt::Display for Bomb {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("on purpose");
    }
}
