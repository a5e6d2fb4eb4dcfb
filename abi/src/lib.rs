//! The words that every side of the TDX interface shares.
//!
//! Numbers, layouts and types of module 1.5 and of GHCI, each with the section of
//! the reference it follows (the keys are in `docs/spec.md`). No CPU instruction, no
//! device, no allocation, no unsafe; nothing here panics on a value from outside.
#![no_std]
#[cfg(test)]
extern crate std;

pub mod attributes;
pub mod counts;
pub mod exit;
pub mod field;
pub mod ghci;
mod gpa;
mod gpa_range;
pub mod l2;
pub mod leaf;
mod operand;
pub mod page_attributes;
pub mod poison;
pub mod quote;
mod regs;
pub mod report;
mod status;
pub mod sysinfo;
pub mod td_params;
pub mod tdmr;
mod ve;
pub mod verdict;

pub use counts::Counts;
pub use ghci::GhciStatus;
pub use gpa::{AddressError, Gpa, GpaWidth, Hpa, PAGE_SIZE, PageLevel, PrivateGpa, SharedGpa};
pub use gpa_range::{GpaRange, RangeError};
pub use operand::Operand;
pub use regs::{Gpr, RegisterFile, Regs};
pub use status::Status;
pub use ve::{EptQualification, ExitReason, IoQualification, IoWidth, VeInfo};
