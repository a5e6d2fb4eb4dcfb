//! What boot decides, apart from the CPU it runs on.
//!
//! In the order it happens: [`start`] checks what the CPU was started with, [`options`] says
//! when memory is accepted, [`ram`] takes the VMM's list of it, [`accept`] accepts it, all or
//! as it is used, [`elf`] and [`config`] read the kernel, [`launch`] lays out its address
//! space ([`frame`], [`addresses`], [`paging`], [`load`]) and writes its boot information
//! ([`bootinfo`]).
//!
//! The binary beside it adds the first instructions, TDCALL, the console and the last
//! jump. Here nothing touches a device or a fixed address: memory is a [`FrameMemory`],
//! the TDX module an [`Accept`], so all of it runs in host tests, against a hostile module,
//! a hostile VMM and a broken kernel. Nothing panics on what any of them says.
//!
//! [`FrameMemory`]: frame::FrameMemory
//! [`Accept`]: tdcall::accept::Accept
#![no_std]
#[cfg(test)]
extern crate std;

pub mod start;

pub mod options;
pub mod ram;

pub mod accept;

pub mod config;
pub mod elf;

pub mod addresses;
pub mod bootinfo;
pub mod frame;
pub mod launch;
pub mod load;
pub mod paging;

mod error;
#[cfg(test)]
mod linker_script;
#[cfg(test)]
mod testing;

pub use error::BootError;
