//! The TDVF image as data.
//!
//! A trust domain starts from one file that ends at 4 GiB: code, data, and at its end a
//! table that says which guest pages the VMM shall add and measure. This crate reads such a
//! file ([`Metadata`]), writes one ([`assemble()`]), tells the MRTD that its build gives
//! ([`measure`]), and reads and writes the list of memory that the VMM hands to the trust
//! domain ([`hob`]).
//!
//! It holds bytes and numbers only. Nothing here knows how the image is run; nothing allocates,
//! and nothing panics, whatever the bytes: an image or a HOB list comes from someone else.
//!
//! In the order data flows: [`layout`] says where things are, [`assemble()`] puts them there,
//! [`guid_table`] and [`Metadata`] find them again, [`mrtd`] measures them, [`ram`] and [`hob`]
//! describe the memory around them, and [`find_kernel`] and [`find_options`] are what the booted
//! image asks.
#![no_std]
#[cfg(test)]
extern crate std;

pub mod assemble;
mod error;
pub mod guid_table;
pub mod hob;
pub mod kernel_entry;
pub mod layout;
pub mod metadata;
pub mod mrtd;
pub mod options;
pub mod ram;
pub mod section;
#[cfg(test)]
mod testing;

pub use assemble::{AssembleError, Parts, assemble, image_size};
pub use error::{ImageError, SectionFault};
pub use kernel_entry::{KernelPlace, find_kernel};
pub use metadata::Metadata;
pub use mrtd::{Mrtd, PageOrder, measure};
pub use options::{OptionsError, check_options, find_options};
pub use ram::{RamRange, q35_ram};
pub use section::{Section, SectionKind};
