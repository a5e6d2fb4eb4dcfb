//! TDH.MEM.WR: the VMM writes 8 bytes of a debug TD. [ABI-H 3.8]
//!
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::Regs;

use super::Leaf;
use super::mem_rd::locate;
use crate::machine::Machine;
use crate::module::Module;

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let data = regs.r8;
    let at = locate(module, m, regs)?;
    regs.r8 = m.read_u64(at);
    m.write_u64(at, data);
    Ok(())
}
