//! TDH.SYS.TDMR.INIT: makes the PAMT entries of the next 4 MiB of a TDMR.
//! [ABI-H 3.5]
//!
//! RDX is the next address rounded down to a GiB, because only whole GiB are usable:
//! it stays at the base of the current GiB until that is complete.
//! Of itself never OPERAND_BUSY: nobody else holds a lock.

use abi::{Operand, Regs, Status};

use super::Leaf;
use crate::hpa::is_plain;
use crate::machine::Machine;
use crate::module::Module;
use crate::pamt;
use crate::phys::PAGE;
use crate::tdmr::GIB;

/// PAMT entries for 4 KiB pages that one call makes.
const PAGES_PER_CALL: u64 = 1024;

pub(crate) fn run(module: &mut Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let base = regs.rcx;
    regs.rdx = 0;
    let invalid = Status::OPERAND_INVALID.with_operand(Operand::Rcx);
    if !is_plain(base, GIB) {
        return Err(invalid);
    }
    let tdmr = module.tdmr_mut(base).ok_or(invalid)?;
    if tdmr.next >= tdmr.end() {
        return Err(Status::TDMR_ALREADY_INITIALIZED);
    }
    let first = tdmr.next;
    tdmr.next = first + PAGES_PER_CALL * PAGE;
    regs.rdx = tdmr.next & !(GIB - 1);
    let tdmr = *tdmr;
    pamt::init_block(m, &tdmr, first, PAGES_PER_CALL);
    Ok(())
}
