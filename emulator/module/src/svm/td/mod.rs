//! A TD vCPU: run, exit, answer, run again, until something leaves the TD.
//!
//! One exit goes through here in one direction:
//!
//! ```text
//! vcpu (VMRUN) -> exit -> instruction, msr, control_register, io: what the TD did
//!                         fault: nested page faults
//!                         interrupt: physical and virtual interrupts
//!              -> Outcome, mostly from Module or virt -> vcpu, or the VMM
//! ```
//!
//! Nothing of a running TD is kept outside of its pages, but for the nested page
//! tables, which are a cache.

mod control_register;
mod fault;
mod instruction;
mod interrupt;
mod io;
mod map;
mod memory;
mod msr;
mod reset;
mod run;
mod state;
mod vcpu;

pub(super) use map::{Page, TdMaps};
pub(super) use reset::reset;
pub(super) use run::until_exit;
