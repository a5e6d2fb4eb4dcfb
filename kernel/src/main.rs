//! The default kernel: proves the call path, cause by cause, and ends with the verdict.
#![no_std]
#![no_main]

kernel::main!(kernel::checks::run);
