//! TDH.VP.WR: the VMM writes a field of a vCPU. [ABI-H 3.9, 4.7]
//!
//! Of itself never OPERAND_BUSY or VCPU_ASSOCIATED: there is one logical processor.

use abi::Regs;
use abi::field::FieldId;

use super::Leaf;
use super::mng_rd::host_side;
use super::vp_rd::open;
use crate::machine::Machine;
use crate::metadata::{Element, vp};
use crate::module::Module;
use crate::td::tdvps::VcpuState;

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let (tdvpr, id, value, mask) = (regs.rcx, FieldId(regs.rdx), regs.r8, regs.r9);
    regs.r8 = 0;
    let (mut tdvps, td) = open(module, m, tdvpr, &[VcpuState::Ready])?;
    let element = Element::find(vp::FIELDS, id)?;
    let write = (host_side(&td), value, mask);
    let shared_eptp = tdvps.shared_eptp;
    regs.r8 = vp::write(module, m, &mut tdvps, &element, write)?;
    tdvps.store(m, tdvpr);
    if tdvps.shared_eptp != shared_eptp {
        m.flush_td(td.pa);
    }
    Ok(())
}
