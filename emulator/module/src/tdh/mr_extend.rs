//! TDH.MR.EXTEND: measures 256 bytes of a page of the TD. [ABI-H 3.7, 6]
//!
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::{Operand, Regs};

use super::{Leaf, td_operand};
use crate::machine::Machine;
use crate::module::Module;
use crate::mrtd::CHUNK_BYTES;
use crate::sept::mapped_byte;
use crate::td::tdcs::OpState;

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let (gpa, tdr_pa) = (regs.rcx, regs.rdx);
    (regs.rcx, regs.rdx) = (0, 0);
    let mut td = td_operand(module, m, tdr_pa, Operand::Rdx, &[OpState::Initialized])?;
    let at = mapped_byte(m, &td, gpa, CHUNK_BYTES as u64, regs)?;
    let mut chunk = [0; CHUNK_BYTES];
    m.read(at, &mut chunk);
    td.tdcs.measurement.extend(gpa, &chunk);
    td.store_tdcs(m);
    Ok(())
}
