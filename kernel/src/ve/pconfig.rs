//! PCONFIG, exit reason 65. [TDVF 4.4], [SDM2 PCONFIG]
//!
//! Raised only if CPUID shows the instruction. The host is asked for leaf 0, the one there
//! is, with RBX, RCX and RDX; EAX is its answer, and ZF says that this is not 0. Other
//! leaves are refused, as by a processor that does not have them.

use abi::ghci::function;
use abi::{Gpr, VeInfo};
use arch::trap::TrapFrame;
use tdcall::ghci::mask;

use super::register::{Part, Register};
use super::{Routed, Unroutable, instruction_length};
use crate::td::Tdcall;

/// MKTME_KEY_PROGRAM.
const KEY_PROGRAM: u32 = 0;
/// RFLAGS.ZF.
const ZERO: u64 = 1 << 6;
/// RFLAGS that the instruction writes: CF, PF, AF, ZF, SF, OF.
const FLAGS: u64 = 1 << 0 | 1 << 2 | 1 << 4 | ZERO | 1 << 7 | 1 << 11;

pub(super) fn route(
    td: &mut impl Tdcall,
    info: &VeInfo,
    frame: &mut TrapFrame,
) -> Result<Routed, Unroutable> {
    let length = instruction_length(info)?;
    let regs = &frame.regs;
    let leaf = regs.rax as u32;
    if leaf != KEY_PROGRAM {
        return Err(Unroutable::PconfigLeaf(leaf));
    }
    let answer = td.pconfig(leaf, [regs.rbx, regs.rcx, regs.rdx]).map_err(Unroutable::Refused)?;
    let value = answer & 0xFFFF_FFFF;
    Register::new(Gpr::Rax, Part::Dword).write(&mut frame.regs, value);
    frame.rflags = frame.rflags & !FLAGS | if value == 0 { 0 } else { ZERO };
    Ok(Routed { length, call: Some((function::PCONFIG, mask::PCONFIG)), value })
}
