//! ReportFatalError: the text in the registers. [TDVF 4.7]

use core::fmt;

use abi::Regs;
use abi::exit::VmcallMask;
use abi::ghci::{FATAL_TEXT, FATAL_TEXT_BYTES};

/// The TD's last words: whatever it wrote, printable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FatalText {
    bytes: [u8; FATAL_TEXT_BYTES],
    len: usize,
}

impl FatalText {
    /// From the registers of the exit: only those that the TD exposes (mask in RCX) count;
    /// a zero byte ends the text.
    #[must_use]
    pub fn from_regs(regs: &Regs) -> Self {
        let mask = VmcallMask(regs.rcx as u32);
        let mut text = Self { bytes: [0; FATAL_TEXT_BYTES], len: 0 };
        let exposed = FATAL_TEXT.into_iter().filter(|gpr| mask.has(*gpr));
        let bytes = exposed.flat_map(|gpr| regs[gpr].to_le_bytes());
        for (slot, byte) in text.bytes.iter_mut().zip(bytes.take_while(|byte| *byte != 0)) {
            *slot = byte;
            text.len += 1;
        }
        text
    }
}

impl fmt::Display for FatalText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for byte in &self.bytes[..self.len] {
            match byte {
                b' '..=b'~' => f.write_char(char::from(*byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for FatalText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::Gpr;
    use std::format;

    fn regs(text: &[u8]) -> Regs {
        let mut regs = Regs { rcx: 0xFFCC, ..Regs::default() };
        for (gpr, chunk) in FATAL_TEXT.into_iter().zip(text.chunks(8)) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            regs[gpr] = u64::from_le_bytes(word);
        }
        regs
    }

    #[test]
    fn a_text_of_any_length_is_read() {
        for text in ["", "a", "panic at kernel/src/main.rs:7: on purpose", &"x".repeat(64)] {
            assert_eq!(format!("{}", FatalText::from_regs(&regs(text.as_bytes()))), text);
        }
    }

    #[test]
    fn a_log_line_can_not_be_forged() {
        let text = FatalText::from_regs(&regs(b"x\nvmm: \x1B\xFF"));
        assert_eq!(format!("{text}"), "x\\x0avmm: \\x1b\\xff");
    }

    #[test]
    fn registers_outside_the_mask_do_not_count() {
        let mut regs = regs(b"11111111222222223333");
        regs.rcx = Gpr::R14.bit() | Gpr::Rbx.bit();
        assert_eq!(format!("{}", FatalText::from_regs(&regs)), "111111113333");
        regs.rcx = 0;
        assert_eq!(format!("{}", FatalText::from_regs(&regs)), "");
    }
}
