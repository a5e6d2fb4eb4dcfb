//! Bare VMM programs: what the emulated module starts in place of `emulator/vmm`.
//!
//! A program is a PVH kernel that runs as the module's guest, in ring 0, and calls the
//! module by SEAMCALL. [`bare`] starts it; [`run`] runs checks.
//!
//! | program | what it does |
//! |---|---|
//! | `conform_host` | tables of checks ([`tables`]) in the states that [`scenarios`] bring about |
//! | `conform_busy` | leaves that are in each other's way: [`busy`] |
//! | `vmx_operation` | in and out of VMX operation: [`vmx`] |
//!
//! [`place`] is the memory that they use, [`guest`] the guest of their TDs.
#![cfg_attr(not(test), no_std)]

pub mod bare;
pub mod busy;
pub mod guest;
pub mod place;
pub mod run;
pub mod scenarios;
pub mod tables;
pub mod vmx;

/// Makes a function the program: start, trap handlers, panic handler. It gets the bounds of
/// free RAM and gives the verdict.
///
/// `hosts::program!(run)` with `fn run(ram: (u64, u64)) -> u32`.
#[macro_export]
macro_rules! program {
    ($run:expr) => {
        arch::runtime!();
        arch::pvh_entry!(levels = 4, stack = 0x40000, main = main);

        extern "C" fn main(start_info: u64) -> ! {
            $crate::bare::init(arch::extable!());
            // SAFETY: called by the start code, once, with what the loader left in EBX.
            let ram = unsafe { $crate::bare::ram(start_info) };
            $crate::bare::end(ram.map_or(abi::verdict::EMULATOR_FAILED, $run))
        }

        #[panic_handler]
        fn panic(info: &::core::panic::PanicInfo<'_>) -> ! {
            $crate::bare::log(format_args!("error: VMM: {info}"));
            $crate::bare::end(abi::verdict::EMULATOR_FAILED)
        }
    };
}
