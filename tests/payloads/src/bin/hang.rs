//! Spins for ever, interrupts on, without an exit of its own.
#![no_std]
#![no_main]

use core::hint::spin_loop;

use kernel::{Kernel, Verdict, interrupts, println};

kernel::main!(hang);

fn hang(_: &mut Kernel) -> Verdict {
    println!("spinning");
    interrupts::enable();
    loop {
        spin_loop();
    }
}
