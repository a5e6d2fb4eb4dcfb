//! Instructions that are prepared for #UD or #GP.
//!
//! An exception table names them and where to go on; RAX then says which exception it was
//! ([`mod@arch::extable`]). It holds for exceptions of the processor and of the TDX module, and
//! for #VEs whose policy is to refuse: a refusal is #UD or #GP, as by a processor without the
//! feature. An instruction that is not prepared stops the kernel.

use core::fmt;

use arch::extable;
use arch::trap::TrapFrame;

/// RAX behind an instruction that raised an exception, without the vector. Not canonical,
/// and no 32-bit result: nothing else looks so.
const RAISED: u64 = 0x8000_FF00_0000_0000;

/// RFLAGS.RF: set for the instruction that faulted, which does not run again.
const RESUME_FLAG: u64 = 1 << 16;

/// An exception that an instruction can be prepared for: its vector.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// #UD.
    InvalidOpcode = 6,
    /// #GP.
    GeneralProtection = 13,
}

impl Fault {
    /// What RAX says behind an instruction that [`caught!`](crate::caught) prepared.
    #[must_use]
    pub const fn from_rax(rax: u64) -> Option<Self> {
        match rax ^ RAISED {
            6 => Some(Self::InvalidOpcode),
            13 => Some(Self::GeneralProtection),
            _ => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidOpcode => "#UD",
            Self::GeneralProtection => "#GP",
        })
    }
}

impl core::error::Error for Fault {}

/// Leads `frame`, which stands at an instruction that raised `frame.vector`, to where the
/// instruction's table entry says. False: it has none.
pub(crate) fn catch(frame: &mut TrapFrame) -> bool {
    catch_by(table(), frame)
}

fn catch_by(table: &[extable::Entry], frame: &mut TrapFrame) -> bool {
    let is_caught = extable::fixup(table, frame);
    if is_caught {
        frame.rflags &= !RESUME_FLAG;
    }
    is_caught
}

#[cfg(not(test))]
fn table() -> &'static [extable::Entry] {
    arch::extable!()
}

/// A test's binary has no section for it.
#[cfg(test)]
fn table() -> &'static [extable::Entry] {
    &[]
}

/// An instruction for `asm!`, prepared for #UD and #GP: RAX is its operand, or none, on
/// the way in, and on the way out what [`Fault::from_rax`] reads. The upper half of RAX must
/// be 0 on the way in, unless it is an address.
///
/// ```ignore
/// let mut rax = 0_u64;
/// unsafe { asm!(kernel::caught!("vmcall"), inout("rax") rax) };
/// assert_eq!(Fault::from_rax(rax), Some(Fault::InvalidOpcode));
/// ```
#[macro_export]
macro_rules! caught {
    ($instruction:literal) => {
        concat!(
            "771: ",
            $instruction,
            "\n772:\n.pushsection .extable, \"a\"\n.balign 8\n.quad 771b, 772b\n.popsection"
        )
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_landing_says_which_exception_it_was() {
        let table = [extable::Entry { instruction: 0x100, landing: 0x103 }];
        for fault in [Fault::InvalidOpcode, Fault::GeneralProtection] {
            let vector = fault as u64;
            let rflags = RESUME_FLAG | 2;
            let mut frame = TrapFrame { rip: 0x100, vector, rflags, ..TrapFrame::default() };
            assert!(catch_by(&table, &mut frame));
            assert_eq!((frame.rip, frame.rflags), (0x103, 2));
            assert_eq!(Fault::from_rax(frame.regs.rax), Some(fault));
            assert!(!catch_by(&table, &mut frame));
        }
        for rax in [0, 6, 13, u64::MAX, RAISED, RAISED | 20] {
            assert_eq!(Fault::from_rax(rax), None);
        }
    }
}
