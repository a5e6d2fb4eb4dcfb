//! Executes the same instruction natively on private memory and through #VE on device
//! memory, with the same registers and flags, and compares what comes of it.
//!
//! Wants QEMU's `pc-testdev`: its memory is what was last written, as private memory is.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "executes generated code")]

mod case;
mod encode;
mod forms;
mod fw_cfg;
mod machine;
mod ports;
mod random;
mod run;
mod windows;

kernel::main!(run::run);
