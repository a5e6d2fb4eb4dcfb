//! CPUID, exit reason 10. [ABI-G 9]
//!
//! | leaf | answer |
//! |---|---|
//! | 0x40000000-0x4FFFFFFF | the host's: they describe the hypervisor |
//! | any other that the module does not answer | zeros, as Linux does [TDVF 5.1] |
//!
//! The others would be the host's word about the processor (caches, topology, frequency):
//! zeros say "not there" to every reader, and no host can lie through them.

use abi::{Gpr, VeInfo};
use arch::trap::TrapFrame;
use tdcall::ghci::mask;

use super::register::{Part, Register};
use super::{Routed, Unroutable, instruction_length};
use crate::td::Tdcall;

/// Output registers in the order of the values.
const OUTPUTS: [Gpr; 4] = [Gpr::Rax, Gpr::Rbx, Gpr::Rcx, Gpr::Rdx];

pub(super) fn route(
    td: &mut impl Tdcall,
    info: &VeInfo,
    frame: &mut TrapFrame,
) -> Result<Routed, Unroutable> {
    let length = instruction_length(info)?;
    let (leaf, subleaf) = (frame.regs.rax as u32, frame.regs.rcx as u32);
    let (values, call) = if matches!(leaf, 0x4000_0000..=0x4FFF_FFFF) {
        let values = td.cpuid(leaf, subleaf).map_err(Unroutable::Refused)?;
        (values, Some((abi::ghci::function::CPUID, mask::CPUID)))
    } else {
        ([0; 4], None)
    };
    for (gpr, value) in OUTPUTS.into_iter().zip(values) {
        Register::new(gpr, Part::Dword).write(&mut frame.regs, u64::from(value));
    }
    Ok(Routed { length, call, value: u64::from(values[0]) })
}
