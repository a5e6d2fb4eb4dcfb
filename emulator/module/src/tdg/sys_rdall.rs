//! TDG.SYS.RDALL: lists the global fields that the guest may read. [ABI-G 2.10]
//!
//! R8 is all ones before the page is looked up: a call that #VE or a TD exit cut
//! short starts from the first field when the guest executes it again.

use abi::field::FieldId;
use abi::{Operand, Status};

use super::{Answer, Call};
use crate::metadata::list::List;
use crate::metadata::{Side, sys};
use crate::phys::PAGE;
use crate::translate::Access;

pub(crate) fn run(call: &mut Call<'_>) -> Answer {
    let regs = &mut call.tdvps.gprs;
    let (gpa, first) = (regs.rdx, FieldId(regs.r8));
    regs.r8 = FieldId::NULL.0;
    if !gpa.is_multiple_of(PAGE) {
        return Ok(Status::OPERAND_INVALID.with_operand(Operand::Rdx));
    }
    let page = call.private_operand(gpa, Operand::Rdx, Access::READ_WRITE)?;
    let module = call.module;
    let value = |element: &_| sys::value(module, element);
    let list = List::new(sys::FIELDS, Side::Guest, first, value)?;
    call.m.write(page, list.bytes());
    call.tdvps.gprs.r8 = list.next;
    Ok(list.status())
}
