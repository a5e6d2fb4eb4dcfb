//! TDH.SYS.RDALL: lists the global fields. [ABI-H 3.5, 4.5]

use abi::field::FieldId;
use abi::{Operand, Regs, Status};

use super::Leaf;
use crate::machine::Machine;
use crate::metadata::list::List;
use crate::metadata::{Side, sys};
use crate::module::Module;
use crate::phys::PAGE;

pub(crate) fn run(module: &Module, m: &mut dyn Machine, regs: &mut Regs) -> Leaf {
    let (page, first) = (regs.rdx, FieldId(regs.r8));
    regs.r8 = FieldId::NULL.0;
    if !module.lp_is_initialized {
        return Err(Status::SYS_LP_INIT_NOT_DONE);
    }
    let page = module.shared_buffer(m, page, PAGE, Operand::Rdx)?;
    let value = |element: &_| sys::value(module, element);
    let list = List::new(sys::FIELDS, Side::Host, first, value)?;
    m.write(page, list.bytes());
    regs.r8 = list.next;
    match list.status() {
        Status::SUCCESS => Ok(()),
        overflow => Err(overflow),
    }
}
