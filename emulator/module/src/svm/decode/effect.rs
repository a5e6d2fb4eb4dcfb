//! Which instructions read their memory operand and then write it. [SDM2 appendix A]

use super::{Instruction, Map};

impl Instruction {
    /// The operand in memory that ModRM names is read, changed and written.
    #[must_use]
    pub(in super::super) fn reads_and_writes(&self) -> bool {
        let extension = self.reg() & 7;
        if self.memory.is_none() || self.is_vector {
            return false;
        }
        match (self.map, self.opcode) {
            // The eight operations but CMP.
            (Map::One, opcode @ 0x00..=0x3F) => opcode & 6 == 0 && opcode < 0x38,
            (Map::One, 0x80..=0x83) => extension != 7,
            // NOT and NEG; INC and DEC.
            (Map::One, 0xF6 | 0xF7) => matches!(extension, 2 | 3),
            (Map::One, 0xFE | 0xFF) => extension < 2,
            // BTS, BTR and BTC; CMPXCHG8B.
            (Map::Two, 0xBA) => extension > 4,
            (Map::Two, 0xC7) => extension == 1,
            // XCHG, shifts and rotations; SHLD and SHRD, BTS, BTR, BTC, CMPXCHG, XADD.
            (Map::One, opcode) => matches!(opcode, 0x86 | 0x87 | 0xC0 | 0xC1 | 0xD0..=0xD3),
            (Map::Two, opcode) => matches!(
                opcode,
                0xA4 | 0xA5 | 0xAB..=0xAD | 0xB0 | 0xB1 | 0xB3 | 0xBB | 0xC0 | 0xC1
            ),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CodeMode, decode};

    fn reads_and_writes(bytes: &[u8]) -> bool {
        decode(bytes, CodeMode::Long64).unwrap().reads_and_writes()
    }

    #[test]
    fn what_changes_its_operand_does_both() {
        for bytes in [
            &[0x01, 0x07][..],         // add [rdi], eax
            &[0x31, 0x07],             // xor [rdi], eax
            &[0x83, 0x0F, 1],          // or dword [rdi], 1
            &[0x87, 0x07],             // xchg [rdi], eax
            &[0xD1, 0x27],             // shl dword [rdi], 1
            &[0xF7, 0x1F],             // neg dword [rdi]
            &[0xFE, 0x07],             // inc byte [rdi]
            &[0x0F, 0xAB, 0x07],       // bts [rdi], eax
            &[0x0F, 0xBA, 0x37, 1],    // btr dword [rdi], 1
            &[0xF0, 0x0F, 0xB1, 0x07], // lock cmpxchg [rdi], eax
            &[0x0F, 0xC7, 0x0F],       // cmpxchg8b [rdi]
        ] {
            assert!(reads_and_writes(bytes), "{bytes:02x?}");
        }
    }

    #[test]
    fn what_only_looks_or_only_stores_does_not() {
        for bytes in [
            &[0x39, 0x07][..],         // cmp [rdi], eax
            &[0x03, 0x07],             // add eax, [rdi]
            &[0x83, 0x3F, 1],          // cmp dword [rdi], 1
            &[0x85, 0x07],             // test [rdi], eax
            &[0x89, 0x07],             // mov [rdi], eax
            &[0xF7, 0x07, 0, 0, 0, 0], // test dword [rdi], 0
            &[0xFF, 0x17],             // call [rdi]
            &[0x0F, 0xA3, 0x07],       // bt [rdi], eax
            &[0x0F, 0xBA, 0x27, 1],    // bt dword [rdi], 1
            &[0x01, 0xC0],             // add eax, eax
            &[0xC5, 0xF8, 0xAE, 0x17], // vldmxcsr [rdi]
        ] {
            assert!(!reads_and_writes(bytes), "{bytes:02x?}");
        }
    }
}
