//! Bare VMM programs: what the emulated module starts in place of `emulator/vmm`.
//!
//! A program is a PVH kernel that runs as the module's guest, in ring 0, and calls the
//! module by SEAMCALL. [`bare`] starts it; [`run`] runs tables of checks ([`tables`]) in the
//! states that [`scenarios`] bring about; [`place`] is the memory that they use.
#![cfg_attr(not(test), no_std)]

pub mod bare;
pub mod guest;
pub mod place;
pub mod run;
pub mod scenarios;
pub mod tables;
