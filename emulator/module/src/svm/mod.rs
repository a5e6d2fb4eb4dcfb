//! The CPU underneath: AMD SVM, driven so that it looks like a SEAM-capable Intel CPU.
//!
//! In the order in which a run meets them:
//!
//! * `start`: from the PVH entry to the first VMRUN. `elf`, `start_info` and `options`
//!   are what it reads and writes.
//! * `run`: the loop. `vmm` is the VMM's context, `vmm_exit` answers its exits; a TD runs
//!   inside one of its SEAMCALLs, in `td`.
//! * `world_switch`: VMRUN. `vmcb` is its structure, `exit` what comes back, `inject` what
//!   goes in.
//! * `hardware`: [`Machine`](crate::machine::Machine) over `ram`, `vmm_map` and `td::TdMaps`,
//!   which are nested page tables (`npt`) from a `pool`.
//! * `vmx` is what the VMM needs before SEAMCALL, `vmx_instruction` decodes both.
//! * `fetch`, `decode`, `walk`, `linear`: what SVM does not say about an exit, found in the
//!   guest's own memory.
//! * `cpu`, `interrupt`, `log`, `in_place`: the edges to the machine; with `ram`, `pages`
//!   and the switch they hold the unsafe code.
//!
//! The module runs with GIF = 0 from its first VMRUN on: nothing interrupts it, and what is
//! pending ends the next run of a guest. Every quirk of QEMU that is worked around names
//! its row of [SVM B1].

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
mod vmx;
mod vmx_instruction;
mod walk;
mod world_switch;

pub use log::die;
pub use start::start;
