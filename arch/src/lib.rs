//! The x86-64 bits that the bare binaries share: boot, kernel, module, VMM.
//!
//! Knows the CPU and nothing of TDX. This is where most of the project's unsafe
//! lives; what it offers upward is small and says what makes it sound. Nothing
//! runs by itself: a binary picks a start ([`pvh_entry!`] or its own), the runtime
//! symbols ([`runtime!`]) and trap handling ([`trap::init`]).
#![no_std]
#[cfg(test)]
extern crate std;

mod cell;
pub mod cpu;
pub mod debugcon;
pub mod extable;
pub mod msr;
pub mod port;
pub mod pvh;
mod runtime;
pub mod trap;
pub mod vmx;
pub mod zero;

pub use cell::BootCell;
