//! The bare binary of the VMM: a PVH kernel that the module starts as its guest.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "the start code's promises")]

mod bare;

use core::panic::PanicInfo;

use abi::verdict;

arch::runtime!();
arch::pvh_entry!(levels = 5, stack = 0x40000, main = main);

extern "C" fn main(start_info: u64) -> ! {
    // SAFETY: called by the start code, once.
    unsafe { bare::start(start_info) }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    log::error!("VMM: {info}");
    bare::end(verdict::EMULATOR_FAILED)
}
