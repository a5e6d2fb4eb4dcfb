//! The decoder against iced-x86.

use iced_x86::{Code, Decoder, DecoderOptions, EncodingKind, Mnemonic, OpKind, Register};
use proptest::prelude::*;

use super::*;
use abi::Regs;

const RIP: u64 = 0x1234_5678;

fn bitness(mode: CodeMode) -> u32 {
    match mode {
        CodeMode::Long64 => 64,
        CodeMode::Bits32 => 32,
        CodeMode::Bits16 => 16,
    }
}

fn regs() -> Regs {
    let mut regs = Regs::default();
    for gpr in Gpr::ALL {
        regs[gpr] = 0x1111_0000_2222_0000 + 0x0101_0101 * gpr as u64;
    }
    regs
}

fn register(regs: &Regs, register: Register) -> Option<u64> {
    if register.is_segment_register() || register.is_ip() {
        return Some(0);
    }
    let full = register.full_register();
    let value = regs[Gpr::from_number(u8::try_from(full.number()).ok()?)];
    Some(match register.size() {
        2 => value & 0xFFFF,
        4 => value & 0xFFFF_FFFF,
        _ => value,
    })
}

/// What the oracle knows of an instruction, if it is one that we decode.
fn oracle(bytes: &[u8], mode: CodeMode) -> Option<(usize, Option<u64>)> {
    let mut decoder = Decoder::with_ip(bitness(mode), bytes, RIP, DecoderOptions::NONE);
    let instruction = decoder.decode();
    let known = matches!(instruction.encoding(), EncodingKind::Legacy | EncodingKind::VEX);
    // AMD's EXTRQ and INSERTQ reuse VMREAD's opcode with two more bytes.
    let is_sse4a = matches!(instruction.mnemonic(), Mnemonic::Extrq | Mnemonic::Insertq);
    if instruction.code() == Code::INVALID || !known || is_sse4a {
        return None;
    }
    let is_memory = |kind| matches!(kind, OpKind::Memory);
    let operand = (0..instruction.op_count()).find(|op| is_memory(instruction.op_kind(*op)));
    let regs = regs();
    let address = operand
        .and_then(|op| instruction.virtual_address(op, 0, |name, _, _| register(&regs, name)));
    // The byte in AL that XLAT adds is not an index register: see `linear`.
    let is_exempt = instruction.is_vsib() || instruction.code() == Code::Xlat_m8;
    Some((instruction.len(), address.filter(|_| !is_exempt)))
}

fn check(bytes: &[u8], mode: CodeMode) {
    let Some((length, address)) = oracle(bytes, mode) else { return };
    let ours = decode(bytes, mode).expect("the oracle decodes it");
    assert_eq!(usize::from(ours.length), length, "{bytes:02x?} {mode:?}");
    let Some(address) = address else { return };
    let offset = ours.memory.map(|operand| operand.offset(&regs(), RIP + length as u64));
    assert_eq!(offset, Some(address), "{bytes:02x?} {mode:?}");
}

const MODES: [CodeMode; 3] = [CodeMode::Long64, CodeMode::Bits32, CodeMode::Bits16];

#[test]
fn every_opcode_has_the_oracles_length() {
    for mode in MODES {
        for prefix in [&[][..], &[0x66], &[0x67], &[0x48], &[0xF3], &[0xF2, 0x41]] {
            for escape in [&[][..], &[0x0F], &[0x0F, 0x38], &[0x0F, 0x3A]] {
                for opcode in 0..=255 {
                    for modrm in [0x00, 0x05, 0x04, 0x44, 0x85, 0x84, 0xC1, 0x0D, 0x1C, 0x3E, 0xF8]
                    {
                        let mut bytes = std::vec::Vec::from(prefix);
                        bytes.extend_from_slice(escape);
                        bytes.extend([opcode, modrm, 0x65, 0x81, 2, 3, 4, 5, 6, 7, 8, 9]);
                        bytes.truncate(MAX_LENGTH);
                        check(&bytes, mode);
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]
    #[test]
    fn random_bytes_have_the_oracles_length_and_address(
        bytes in prop::array::uniform15(any::<u8>()),
        mode in 0usize..3,
    ) {
        check(&bytes, MODES[mode]);
    }

    #[test]
    fn a_cut_instruction_is_refused_not_guessed(bytes in prop::array::uniform15(any::<u8>())) {
        if let Some(whole) = decode(&bytes, CodeMode::Long64) {
            for cut in 0..usize::from(whole.length) {
                prop_assert_eq!(decode(&bytes[..cut], CodeMode::Long64), None);
            }
        }
    }
}

#[test]
fn tdcall_and_seamcall_are_told_from_their_neighbours() {
    let is = |bytes: &[u8], modrm, operand_size| {
        decode(bytes, CodeMode::Long64).is_some_and(|i| i.is_0f01(modrm, operand_size))
    };
    assert!(is(&[0x66, 0x0F, 0x01, 0xCC], 0xCC, true));
    assert!(is(&[0x66, 0x0F, 0x01, 0xCF], 0xCF, true));
    assert!(is(&[0x0F, 0x01, 0xC1], 0xC1, false));
    // ENCLS, a repeated and a locked one.
    assert!(!is(&[0x0F, 0x01, 0xCF], 0xCF, true));
    assert!(!is(&[0xF3, 0x66, 0x0F, 0x01, 0xCC], 0xCC, true));
    assert!(!is(&[0xF0, 0x66, 0x0F, 0x01, 0xCC], 0xCC, true));
}

#[test]
fn a_control_register_move_names_registers_whatever_mod_says() {
    let mov = decode(&[0x41, 0x0F, 0x22, 0x24], CodeMode::Long64).expect("whole");
    assert_eq!((mov.length, mov.reg(), mov.rm(), mov.memory), (4, 4, Gpr::R12, None));
    let mov = decode(&[0x44, 0x0F, 0x22, 0xC0], CodeMode::Long64).expect("whole");
    assert_eq!((mov.reg(), mov.rm()), (8, Gpr::Rax));
}
