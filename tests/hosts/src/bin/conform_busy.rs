//! Statuses that only another processor can cause, given by the module on demand: see
//! `hosts::busy`.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "the start code's promises")]

use core::panic::PanicInfo;

use abi::verdict;
use hosts::{bare, busy};

arch::runtime!();
arch::pvh_entry!(levels = 4, stack = 0x40000, main = main);

extern "C" fn main(start_info: u64) -> ! {
    bare::init(arch::extable!());
    // SAFETY: called by the start code, once, with what the loader left in EBX.
    let verdict = match unsafe { bare::ram(start_info) } {
        Some(ram) => busy::run(ram),
        None => verdict::EMULATOR_FAILED,
    };
    bare::end(verdict)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    bare::log(format_args!("error: VMM: {info}"));
    bare::end(verdict::EMULATOR_FAILED)
}
