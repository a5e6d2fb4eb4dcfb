//! A small host VMM: builds a trust domain from any TDVF image and runs it, as KVM and
//! QEMU together would.
//!
//! It reaches the trust domain by SEAMCALL alone, and never trusts it: every register of
//! a VMCALL is checked and nothing from the TD makes it panic. This library decides
//! everything; the hardware is behind the traits of [`seam`], so that it runs in host
//! tests over a scripted module. The binary is the shell: start, traps, ports, memory.
//!
//! In the order of a run: [`config`], [`features`] and [`ram`] say what there is, [`system`] brings the
//! module up with the memory of [`tdmr`], [`construct`] builds the TD, [`run`] runs it with
//! [`registers`], [`fault`], [`conversion`], [`vmcall`], [`interrupts`] and [`idle`], with the devices of
//! [`pci`] and [`iommu`], [`teardown`] takes it apart, and
//! [`session`] is all of it.
#![no_std]
#[cfg(test)]
extern crate std;

pub mod config;
pub mod construct;
pub mod conversion;
pub mod end;
pub mod failure;
pub mod fault;
pub mod features;
pub mod guest_memory;
pub mod idle;
pub mod interrupts;
pub mod iommu;
pub mod lapic;
pub mod pci;
pub mod pool;
pub mod ram;
pub mod registers;
pub mod run;
pub mod seam;
pub mod session;
pub mod shared_ept;
pub mod system;
pub mod td;
pub mod td_params;
pub mod tdmr;
pub mod teardown;
pub mod vmcall;

#[cfg(test)]
mod fakes;

/// The x2APIC id of the one vCPU: as with KVM, the vCPU's number.
pub(crate) const X2APIC_ID: u32 = 0;
