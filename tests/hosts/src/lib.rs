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
