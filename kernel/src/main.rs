//! The default kernel: makes the checks, or takes commands, and ends with the verdict.
#![no_std]
#![no_main]

use kernel::{Kernel, Verdict, checks, shell};

kernel::main!(main);

fn main(kernel: &mut Kernel) -> Verdict {
    if kernel.options.is_shell { shell::run(kernel) } else { checks::run(kernel) }
}
