//! The bare binary of the emulated TDX module: a PVH kernel that QEMU starts.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "the start code's promises, a linker symbol")]

use core::panic::PanicInfo;

arch::runtime!();
// Five levels: nested page tables then have five too, which a shared bit at position
// 51 needs. [SVM B2]
arch::pvh_entry!(levels = 5, stack = 0x40000, main = main);

unsafe extern "C" {
    /// First byte after the image, from module.ld.
    static __module_end: u8;
}

extern "C" fn main(start_info: u64) -> ! {
    let end = (&raw const __module_end).addr() as u64;
    // SAFETY: called by the start code, once.
    unsafe { module::svm::start(start_info, end) }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    module::svm::die(format_args!("{info}"))
}
