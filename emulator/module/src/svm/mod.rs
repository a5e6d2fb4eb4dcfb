//! The CPU underneath: AMD SVM, driven so that it looks like a SEAM-capable Intel CPU.

mod cpu;
mod decode;
mod elf;
mod exit;
mod fetch;
mod hardware;
mod in_place;
mod inject;
mod interrupt;
mod linear;
mod log;
mod memory;
mod npt;
mod options;
mod pages;
mod permission_maps;
mod pool;
mod ram;
mod run;
mod start;
mod start_info;
mod td;
mod vmcb;
mod vmm;
mod vmm_exit;
mod vmm_map;
mod walk;
mod world_switch;

pub use log::die;
pub use start::start;
