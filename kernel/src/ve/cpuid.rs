//! CPUID, exit reason 10. [ABI-G 9]
//!
//! | leaf | answer |
//! |---|---|
//! | 0x40000000-0x4FFFFFFF | the host's: they describe the hypervisor |
//! | one that the module answers | a stop: somebody set CPUID_SUPERVISOR_VE |
//! | any other | zeros, as Linux does [TDVF 5.1] |
//!
//! Zeros are what a processor gives for a leaf that it does not support, below its highest
//! leaf; above it the rule is to answer as the highest basic leaf [SDM2 CPUID], which the
//! module does without an exception. The host's word about the processor (caches, topology,
//! frequency) is not asked for: zeros say "not there" to every reader, and no host can lie
//! through them.

use abi::{Gpr, VeInfo};
use arch::trap::TrapFrame;
use tdcall::ghci::mask;

use super::register::{Part, Register};
use super::{Routed, Unroutable, instruction_length};
use crate::td::Tdcall;

/// Output registers in the order of the values.
const OUTPUTS: [Gpr; 4] = [Gpr::Rax, Gpr::Rbx, Gpr::Rcx, Gpr::Rdx];

/// Leaves that the module answers, and their last sub-leaf. [ABI-G 9, 16.16]
const MODULES: [(u32, u32); 27] = [
    (0x0, u32::MAX),
    (0x1, u32::MAX),
    (0x3, u32::MAX),
    (0x4, 4),
    (0x5, u32::MAX),
    (0x7, 2),
    (0x8, u32::MAX),
    (0xA, u32::MAX),
    (0xD, 0x12),
    (0xE, u32::MAX),
    (0x11, u32::MAX),
    (0x12, u32::MAX),
    (0x13, u32::MAX),
    (0x14, 1),
    (0x15, u32::MAX),
    (0x19, u32::MAX),
    (0x1C, u32::MAX),
    (0x1D, 1),
    (0x1E, u32::MAX),
    (0x20, u32::MAX),
    (0x21, 0),
    (0x22, u32::MAX),
    (0x23, 3),
    (0x8000_0000, u32::MAX),
    (0x8000_0001, u32::MAX),
    (0x8000_0007, u32::MAX),
    (0x8000_0008, u32::MAX),
];

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
    } else if is_the_modules(leaf, subleaf) {
        return Err(Unroutable::CpuidLeaf(leaf));
    } else {
        ([0; 4], None)
    };
    for (gpr, value) in OUTPUTS.into_iter().zip(values) {
        Register::new(gpr, Part::Dword).write(&mut frame.regs, u64::from(value));
    }
    Ok(Routed { length, call, value: u64::from(values[0]) })
}

/// The module answers it, unless the TD wanted #VE.
fn is_the_modules(leaf: u32, subleaf: u32) -> bool {
    MODULES.iter().any(|(own, last)| leaf == *own && subleaf <= *last)
}
