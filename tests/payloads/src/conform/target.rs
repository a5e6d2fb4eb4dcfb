//! Where the TD's own root page is: found by asking TDG.SERVTD.RD about page after page.
//!
//! Each wrong guess is a TD exit, after which a VMM that goes on shows the fault in RAX.
#![expect(unsafe_code, reason = "TDCALLs with any operands")]

use abi::field::FieldId;
use abi::leaf::tdg;
use abi::{Operand, PAGE_SIZE, Regs, Status};
use tdcall::guest::{self, Leaf};

/// Host-physical addresses where the emulator's VMM has the pages that it gives away.
const SEARCHED: core::ops::Range<u64> = 0x0200_0000..0x1000_0000;
/// A page of the module's that is no TD's root.
const NOT_A_TDR: Status = Status::PAGE_METADATA_INCORRECT.with_operand(Operand::Tdr);

/// What a binding handle can name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// The TD's own root page.
    pub(crate) tdr: u64,
    /// A page that is no root.
    pub(crate) other: u64,
}

/// Searches; `uuid` is the TD's own.
pub(crate) fn find(uuid: [u64; 4]) -> Option<Target> {
    let pages = || SEARCHED.step_by(PAGE_SIZE as usize);
    let tdr = pages().find(|page| ask(uuid, *page).is(Status::SERVTD_NOT_BOUND))?;
    let other = pages().find(|page| ask(uuid, *page) == NOT_A_TDR)?;
    Some(Target { tdr, other })
}

fn ask(uuid: [u64; 4], page: u64) -> Status {
    let [r10, r11, r12, r13] = uuid;
    let rcx = uuid[0].wrapping_add(page);
    let mut regs = Regs { rcx, rdx: FieldId::NULL.0, r10, r11, r12, r13, ..Regs::default() };
    // SAFETY: the leaf writes registers alone.
    unsafe { guest::call(Leaf::new(tdg::SERVTD_RD as u16, 0), &mut regs) }
}
