//! An emulated TDX module: what the SEAM firmware decides, and the CPU underneath.
//!
//! Two halves meet at [`machine::Machine`]. The leaves, everything in this list but
//! `svm` and `virt`, decide what SEAMCALL and TDCALL answer and what an EPT
//! violation means; they run in host tests over a fake machine. `svm` is the CPU.
#![no_std]
#[cfg(test)]
extern crate std;

pub mod faults;
pub mod injection;
pub mod machine;
pub mod module;
pub mod svm;
pub mod td;
pub mod virt;

mod host_priority;
mod hpa;
mod kot;
mod metadata;
mod mrtd;
mod pamt;
mod phys;
mod report;
mod sept;
mod shared_ept;
mod sys;
mod td_exit;
mod tdg;
mod tdh;
mod tdmr;
mod translate;
mod ve;
mod xmm;
mod zero_step;

#[cfg(test)]
mod tests;

pub use module::{Module, ModuleConfig};
pub use sys::KEYID_PARTITIONING;
pub use td::{TdInfo, tdvps};
pub use translate::{Access, Permissions, Translation, Violation, ViolationKind};
pub use ve::{EptFault, triple_fault};
