//! Boots a trust domain under QEMU and says how it ended.
//!
//! [`boot`] is the one way in, for `cargo xtask run` and for the booted tests:
//! it makes the command line ([`Options`]), runs QEMU under a deadline and gives
//! back a [`Report`] with every log. [`verdict`] turns the report into an exit
//! code and the layer at fault; [`crosscheck`] compares what the kernel, the
//! module and the image say independently of each other.
//!
//! Nothing here builds: [`fixture`] asks `cargo xtask build` for that, once.

pub mod corrupt;
pub mod coverage;
pub mod crosscheck;
pub mod fixture;
pub mod junit;
mod launch;
pub mod paths;
pub mod qemu;
pub mod registers;
pub mod tap;
pub mod verdict;

pub use launch::{Exit, Machine, Options, Report, Virtio, boot, boot_to, command_line};
