//! TDH.MNG.CREATE: a TD comes to be, with a key and a root page. [ABI-H 3.6]
//!
//! Of itself never OPERAND_BUSY or RND_NO_ENTROPY: nobody else holds a lock, and random
//! numbers come from a seed.

use abi::{Operand, Regs, Status};
use zerocopy::FromZeros;

use super::Leaf;
use crate::kot::{KotState, is_private};
use crate::machine::Machine;
use crate::module::Module;
use crate::pamt::PageType;
use crate::phys::{PAGE, store};
use crate::td::tdr::Tdr;

pub(crate) fn run(module: &mut Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let tdr_pa = regs.rcx;
    let invalid = Status::OPERAND_INVALID.with_operand(Operand::Rdx);
    let hkid = u16::try_from(regs.rdx).map_err(|_| invalid)?;
    if !is_private(hkid) {
        return Err(invalid);
    }
    let slot = module.private_page(m, tdr_pa, Operand::Rcx, PageType::NDA)?;
    if module.kot.state(hkid) != KotState::Free {
        return Err(Status::HKID_NOT_FREE);
    }
    module.kot.set(hkid, KotState::Assigned);
    m.hide_from_vmm(tdr_pa, PAGE);
    slot.assign(m, PageType::TDR, 0);
    m.zero(tdr_pa, PAGE);
    let mut tdr = Tdr::new_zeroed();
    tdr.hkid = u32::from(hkid);
    tdr.uuid = [m.random(), m.random(), m.random(), m.random()];
    store(m, tdr_pa, &tdr);
    Ok(())
}
