//! A whole trust-domain program: who am I, how fast is my clock, and a signed report on me.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;

use kernel::{Kernel, Verdict, attest, println, time};

kernel::main!(hello);

fn hello(kernel: &mut Kernel) -> Verdict {
    println!("hello from a trust domain with {} vCPU", kernel.vp.num_vcpus);
    println!("my clock runs at {} MHz", time::tsc_hz().unwrap_or(0) / 1_000_000);

    let squares: Vec<u64> = (1..=10).map(|n| n * n).collect();
    println!("my heap works: {squares:?}");

    match attest::report(&kernel.memory, &[0x5A; 64]) {
        Ok(report) => println!("I was measured as {:02x?}…", &report.td_info.mrtd[..8]),
        Err(error) => {
            println!("no report: {error}");
            return Verdict::CheckFailed;
        }
    }
    Verdict::Passed
}
