//! TDH.MR.EXTEND: measures 256 bytes of a page of the TD. [ABI-H 3.7, 6]

use abi::{Operand, Regs, Status};

use super::{Leaf, td_operand};
use crate::machine::Machine;
use crate::module::Module;
use crate::mrtd::CHUNK_BYTES;
use crate::sept::{self, SeptState, size_of_level};
use crate::td::tdcs::OpState;

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let (gpa, tdr_pa) = (regs.rcx, regs.rdx);
    (regs.rcx, regs.rdx) = (0, 0);
    let mut td = td_operand(module, m, tdr_pa, Operand::Rdx, &[OpState::Initialized])?;
    if gpa % CHUNK_BYTES as u64 != 0 || !td.tdcs.is_private(gpa) {
        return Err(Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    }
    let walk = sept::walk(m, &td, gpa, 0);
    // 1.5.01 leaves the operand id out for a leaf that is readable but not MAPPED;
    // only migration makes such leaves.
    if walk.state() != SeptState::Mapped {
        walk.report(regs);
        return Err(Status::EPT_ENTRY_NOT_PRESENT.with_operand(Operand::Rcx));
    }
    let mut chunk = [0; CHUNK_BYTES];
    m.read(walk.entry.page() + gpa % size_of_level(walk.level), &mut chunk);
    td.tdcs.measurement.extend(gpa, &chunk);
    td.store_tdcs(m);
    Ok(())
}
