//! VMX operation, and SEAMCALL outside of it: see `hosts::vmx`.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use abi::verdict;
use hosts::{bare, vmx};

arch::runtime!();
arch::pvh_entry!(levels = 4, stack = 0x40000, main = main);

extern "C" fn main(_: u64) -> ! {
    bare::init(arch::extable!());
    bare::end(vmx::run())
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    bare::log(format_args!("error: VMM: {info}"));
    bare::end(verdict::EMULATOR_FAILED)
}
