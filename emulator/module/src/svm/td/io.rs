//! Port I/O: always #VE, after the CPU's own checks of CPL, IOPL and TSS. [ABI-G 5]

use abi::{ExitReason, IoQualification, Regs};

use super::super::decode::{Instruction, Map, Repeat, SegmentName};
use super::run::Td;
use crate::machine::Outcome;

impl Td<'_> {
    pub(super) fn port_io(&mut self) -> Outcome {
        let Some(found) = self.instruction() else { return Self::invalid() };
        let exit_info = self.vcpu.vmcb.get().control.exit_info1;
        if is_empty_repeat(&found, self.vcpu.gprs.get()) {
            return self.finish(&found);
        }
        let qualification = qualification(exit_info, &found).into_bits();
        self.ve(ExitReason::IO, qualification, &found, information(&found))
    }
}

/// The exit qualification as VMX builds it. SVM gives port, size, direction, STR and
/// REP; QEMU gives no more. [APM2 15.10.2], [SVM B2]
fn qualification(exit_info: u64, instruction: &Instruction) -> IoQualification {
    let has = |bit: u32| exit_info >> bit & 1 == 1;
    let size_minus_one = match (has(4), has(5)) {
        (true, _) => 0,
        (_, true) => 1,
        _ => 3,
    };
    IoQualification::new()
        .with_size_minus_one(size_minus_one)
        .with_is_in(has(0))
        .with_is_string(has(2))
        .with_has_rep(has(3))
        .with_is_immediate(matches!(instruction.opcode, 0xE4..=0xE7))
        .with_port((exit_info >> 16) as u16)
}

/// VM-exit instruction information of INS and OUTS: address size in 9:7, segment of
/// OUTS in 17:15. [SDM3 28.2.5]
fn information(instruction: &Instruction) -> u32 {
    let address_size = match instruction.address_bits {
        16 => 0,
        32 => 1,
        _ => 2,
    };
    let segment = instruction.prefixes.segment.unwrap_or(SegmentName::Ds) as u32;
    match instruction.opcode {
        0x6C | 0x6D => address_size << 7,
        0x6E | 0x6F => address_size << 7 | segment << 15,
        _ => 0,
    }
}

/// REP INS or OUTS with a count of zero does nothing; QEMU exits for it. [SVM B1.16]
fn is_empty_repeat(instruction: &Instruction, regs: &Regs) -> bool {
    let is_string = instruction.map == Map::One && matches!(instruction.opcode, 0x6C..=0x6F);
    let count = match instruction.address_bits {
        16 => regs.rcx & 0xFFFF,
        32 => regs.rcx & 0xFFFF_FFFF,
        _ => regs.rcx,
    };
    is_string && instruction.prefixes.repeat != Repeat::None && count == 0
}

#[cfg(test)]
mod tests {
    use super::super::super::decode::{CodeMode, decode};
    use super::*;

    fn check(bytes: &[u8], exit_info: u64, expected: u64, expected_info: u32) {
        let found = decode(bytes, CodeMode::Long64).expect("whole");
        assert_eq!(qualification(exit_info, &found).into_bits(), expected, "{bytes:02x?}");
        assert_eq!(information(&found), expected_info, "{bytes:02x?}");
    }

    #[test]
    fn the_exit_information_of_svm_becomes_that_of_vmx() {
        check(&[0xEE], 0x03F8_0010, 0x03F8_0000, 0);
        check(&[0x66, 0xED], 0x03F8_0021, 0x03F8_0009, 0);
        check(&[0xE5, 0xCF], 0x00CF_0041, 0x00CF_004B, 0);
        check(&[0xE6, 0x80], 0x0080_0010, 0x0080_0040, 0);
        check(&[0x64, 0xF3, 0x6E], 0x03F8_001C, 0x03F8_0030, 2 << 7 | 4 << 15);
        check(&[0x67, 0x66, 0x6D], 0x03F8_0025, 0x03F8_0019, 1 << 7);
    }

    #[test]
    fn a_repeat_of_nothing_is_nothing() {
        let decode = |bytes: &[u8]| decode(bytes, CodeMode::Long64).expect("whole");
        let none = Regs { rcx: 1 << 32, ..Regs::default() };
        assert!(!is_empty_repeat(&decode(&[0xF3, 0x6E]), &none));
        assert!(is_empty_repeat(&decode(&[0x67, 0xF3, 0x6E]), &none));
        assert!(!is_empty_repeat(&decode(&[0x6E]), &Regs::default()));
        assert!(!is_empty_repeat(&decode(&[0xF3, 0xEE]), &Regs::default()));
    }
}
