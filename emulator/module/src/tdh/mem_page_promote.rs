//! TDH.MEM.PAGE.PROMOTE: 512 pages become one large page. [ABI-H 3.8]
//!
//! R9-R11 of version 1 are pages of nested guests: there are none.
//! Of itself never OPERAND_BUSY or INTERRUPTED_RESTARTABLE: nobody else holds a lock, and
//! no interrupt is waited for.

use abi::{Operand, Regs, Status};

use super::mem_page_remove::check_tracked;
use super::{Leaf, take_back, td_operand};
use crate::machine::Machine;
use crate::module::Module;
use crate::sept::{Entry, SeptState, Target, size_of_level};
use crate::td::tdcs::OpState;

/// 2 MiB and 1 GiB.
const LEVELS: (u8, u8) = (1, 2);
/// R9-R11: no page.
const NULL_PA: u64 = u64::MAX;

pub(crate) fn run(module: &Module, m: &mut dyn Machine, version: u8, regs: &mut Regs) -> Leaf {
    let (gpa_and_level, tdr_pa) = (regs.rcx, regs.rdx);
    (regs.rcx, regs.rdx) = (0, 0);
    if version > 0 {
        (regs.r9, regs.r10, regs.r11) = (NULL_PA, NULL_PA, NULL_PA);
    }
    if version > 1 {
        return Err(Status::OPERAND_INVALID.with_operand(Operand::Rax));
    }
    let td = td_operand(module, m, tdr_pa, Operand::Rdx, OpState::BUILT)?;
    let (target, walk) = Target::find(m, &td, gpa_and_level, LEVELS, regs)?;
    let state_incorrect = Status::EPT_ENTRY_STATE_INCORRECT.with_operand(Operand::Rcx);
    if !matches!(walk.state(), SeptState::NlMapped | SeptState::NlBlocked) {
        walk.report(regs);
        return Err(state_incorrect);
    }
    let table = module.page_slot(m, &walk).ok_or(state_incorrect)?;
    check_tracked(&td, &walk, &table, regs)?;
    let table_pa = walk.entry.page();
    let Some(merged) = merge(m, table_pa, target.level) else {
        walk.report(regs);
        return Err(Status::EPT_INVALID_PROMOTE_CONDITIONS.with_operand(Operand::Rcx));
    };
    module.pamt_merge(m, merged.page(), target.level);
    walk.set(m, merged);
    m.flush_td(tdr_pa);
    take_back(m, &table, table_pa, tdr_pa);
    regs.rcx = table_pa;
    Ok(())
}

/// The one entry of `level` that maps what the 512 of a table map: all mapped or all
/// pending, one after the other from an address that is aligned to the large page.
fn merge(m: &dyn Machine, table: u64, level: u8) -> Option<Entry> {
    let first = Entry(m.read_u64(table));
    let fits = matches!(first.state(), SeptState::Mapped | SeptState::Pending)
        && first.page().is_multiple_of(size_of_level(level));
    let step = size_of_level(level - 1);
    let follows = |index: u64| m.read_u64(table + index * 8) == first.0 + index * step;
    (fits && (1..512).all(follows)).then_some(first)
}
