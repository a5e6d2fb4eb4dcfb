//! The exception table: instructions that may fault, and where to go on.
//!
//! An entry is two quadwords in section `.extable`: the address of an instruction
//! and the address of its landing. The linker script of a binary with entries
//! keeps them between two symbols:
//!
//! ```text
//! .extable : { __extable_start = .; KEEP(*(.extable)) __extable_end = .; }
//! ```

use crate::trap::TrapFrame;

/// RAX at the landing, or-ed with the vector: the code Linux uses. [ABI-H 1.4]
const SOFTWARE_ERROR: u64 = 0x8000_FF00_0000_0000;

/// One instruction that may fault.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Address of the instruction.
    pub instruction: u64,
    /// Address where execution goes on.
    pub landing: u64,
}

/// If `frame` is a fault of an instruction in `table`, moves RIP to its landing,
/// puts the vector into RAX as a software status, and returns true.
pub fn fixup(table: &[Entry], frame: &mut TrapFrame) -> bool {
    let Some(entry) = table.iter().find(|entry| entry.instruction == frame.rip) else {
        return false;
    };
    frame.rip = entry.landing;
    frame.regs.rax = SOFTWARE_ERROR | frame.vector;
    true
}

/// The exception table of this binary, between the linker script's two symbols.
///
/// Expands to a `&'static [Entry]`.
#[macro_export]
macro_rules! extable {
    () => {{
        unsafe extern "C" {
            static __extable_start: [$crate::extable::Entry; 0];
            static __extable_end: [$crate::extable::Entry; 0];
        }
        let start = (&raw const __extable_start).cast::<$crate::extable::Entry>();
        let end = (&raw const __extable_end).cast::<$crate::extable::Entry>();
        let bytes = end.addr() - start.addr();
        // SAFETY: the linker script puts the symbols around the section, which holds
        // whole entries and is never written.
        unsafe { ::core::slice::from_raw_parts(start, bytes / size_of::<$crate::extable::Entry>()) }
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_listed_instruction_is_fixed_up() {
        let table = [Entry { instruction: 0x100, landing: 0x200 }];
        let mut frame = TrapFrame { vector: 6, rip: 0x100, ..TrapFrame::default() };
        assert!(fixup(&table, &mut frame));
        assert_eq!((frame.rip, frame.regs.rax), (0x200, 0x8000_FF00_0000_0006));
        assert!(!fixup(&table, &mut frame));
    }
}
