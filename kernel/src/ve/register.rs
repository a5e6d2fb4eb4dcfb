//! Parts of general-purpose registers, and what writing one does to the rest.
//!
//! [SDM1 3.4.1.1]: writing 32 bits clears the upper half; writing 8 or 16 bits
//! leaves every other bit as it was.

use abi::{Gpr, IoWidth, Regs};
use tdcall::ghci::MmioWidth;

/// The bits of a register that an operand names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Bits 7:0.
    Byte,
    /// Bits 15:8: AH, CH, DH, BH.
    HighByte,
    /// Bits 15:0.
    Word,
    /// Bits 31:0; a write clears bits 63:32.
    Dword,
    /// All bits.
    Qword,
}

impl Part {
    /// The part that takes `bytes` bytes from bit 0 up, if there is one.
    #[must_use]
    pub const fn from_bytes(bytes: u8) -> Option<Self> {
        match bytes {
            1 => Some(Self::Byte),
            2 => Some(Self::Word),
            4 => Some(Self::Dword),
            8 => Some(Self::Qword),
            _ => None,
        }
    }

    /// The width of an access that moves the part.
    #[must_use]
    pub const fn width(self) -> MmioWidth {
        match self {
            Self::Byte | Self::HighByte => MmioWidth::Byte,
            Self::Word => MmioWidth::Word,
            Self::Dword => MmioWidth::Dword,
            Self::Qword => MmioWidth::Qword,
        }
    }

    /// The low part that a port access of this width moves.
    #[must_use]
    pub const fn of_port(width: IoWidth) -> Self {
        match width {
            IoWidth::Byte => Self::Byte,
            IoWidth::Word => Self::Word,
            IoWidth::Dword => Self::Dword,
        }
    }
}

/// A register operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    /// Which register.
    pub gpr: Gpr,
    /// Which of its bits.
    pub part: Part,
}

impl Register {
    /// A register operand.
    #[must_use]
    pub const fn new(gpr: Gpr, part: Part) -> Self {
        Self { gpr, part }
    }

    /// The operand's value, zero-extended.
    #[must_use]
    pub fn read(self, regs: &Regs) -> u64 {
        let whole = regs[self.gpr];
        match self.part {
            Part::Byte => whole & 0xFF,
            Part::HighByte => whole >> 8 & 0xFF,
            Part::Word => whole & 0xFFFF,
            Part::Dword => whole & 0xFFFF_FFFF,
            Part::Qword => whole,
        }
    }

    /// Writes the operand as an instruction does; bits of `value` that the part does
    /// not have are dropped.
    pub fn write(self, regs: &mut Regs, value: u64) {
        let whole = &mut regs[self.gpr];
        *whole = match self.part {
            Part::Byte => *whole & !0xFF | value & 0xFF,
            Part::HighByte => *whole & !0xFF00 | (value & 0xFF) << 8,
            Part::Word => *whole & !0xFFFF | value & 0xFFFF,
            Part::Dword => value & 0xFFFF_FFFF,
            Part::Qword => value,
        };
    }
}

#[cfg(test)]
mod tests {
    #![expect(unsafe_code, reason = "asks this CPU what its instructions do")]
    use super::*;
    use core::arch::asm;

    const OLD: u64 = 0x1122_3344_5566_7788;
    const NEW: u64 = 0xAABB_CCDD_EEFF_9900;

    fn written(part: Part) -> u64 {
        let mut regs = Regs { rcx: OLD, ..Regs::default() };
        Register::new(Gpr::Rcx, part).write(&mut regs, NEW);
        assert_eq!(regs, Regs { rcx: regs.rcx, ..Regs::default() }, "another register changed");
        regs.rcx
    }

    macro_rules! native {
        ($instruction:literal) => {{
            let mut value = OLD;
            // SAFETY: a move between the two registers that are operands.
            unsafe {
                asm!($instruction, inout("rcx") value, in("rdx") NEW,
                     options(nomem, nostack, preserves_flags));
            }
            value
        }};
    }

    #[test]
    fn a_write_does_what_this_cpu_does() {
        assert_eq!(written(Part::Byte), native!("mov cl, dl"));
        assert_eq!(written(Part::HighByte), native!("mov ch, dl"));
        assert_eq!(written(Part::Word), native!("mov cx, dx"));
        assert_eq!(written(Part::Dword), native!("mov ecx, edx"));
        assert_eq!(written(Part::Qword), native!("mov rcx, rdx"));
    }

    #[test]
    fn a_read_is_zero_extended() {
        let regs = Regs { rbx: OLD, ..Regs::default() };
        let read = |part| Register::new(Gpr::Rbx, part).read(&regs);
        assert_eq!(read(Part::Byte), 0x88);
        assert_eq!(read(Part::HighByte), 0x77);
        assert_eq!(read(Part::Word), 0x7788);
        assert_eq!(read(Part::Dword), 0x5566_7788);
        assert_eq!(read(Part::Qword), OLD);
    }
}
