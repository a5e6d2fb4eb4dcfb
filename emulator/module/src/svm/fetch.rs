//! The instruction at a guest's RIP, fetched as the guest would fetch it.

use super::decode::{CodeMode, Instruction, MAX_LENGTH, SegmentName, decode};
use super::linear::linear;
use super::memory::GuestPhysical;
use super::vmcb::{Save, Segment};
use super::walk::{Paging, read_linear};

/// Decodes the instruction at RIP; none if its bytes are not where the CPU saw them,
/// which takes another party's write to the code or the page tables.
pub(super) fn instruction<G: GuestPhysical + ?Sized>(
    guest: &G,
    save: &Save,
) -> Option<Instruction> {
    let mut bytes = [0; MAX_LENGTH];
    let at = linear(save, SegmentName::Cs, save.rip);
    let count = read_linear(guest, Paging::of(save)?, at, &mut bytes);
    decode(&bytes[..count], code_mode(save))
}

/// The mode that the code segment selects.
#[must_use]
pub(super) const fn code_mode(save: &Save) -> CodeMode {
    if save.is_long64() {
        CodeMode::Long64
    } else if save.cs.attributes & Segment::DEFAULT_32 != 0 {
        CodeMode::Bits32
    } else {
        CodeMode::Bits16
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::super::memory::fake::Sparse;
    use super::super::vmcb::Vmcb;
    use super::*;
    use zerocopy::FromZeros;

    #[test]
    fn the_reset_vector_is_fetched_in_32_bit_mode() {
        let mut memory = Sparse::default();
        memory.write(0xFFFF_FFF0, &[0xB8, 1, 2, 3, 4]);
        let mut save = Vmcb::new_zeroed().save;
        save.cs.attributes = 0xC9B;
        save.rip = 0xFFFF_FFF0;
        assert_eq!(instruction(&memory, &save).map(|i| (i.length, i.opcode)), Some((5, 0xB8)));
        save.cs.attributes = 0x9B;
        assert_eq!(instruction(&memory, &save).map(|i| i.length), Some(3));
        save.rip = 0x1000;
        assert_eq!(instruction(&memory, &save), None);
    }
}
