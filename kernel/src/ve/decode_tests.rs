//! The decoder against `iced-x86`: whatever iced calls a supported move is decoded to
//! the same length and meaning, everything else is refused, nothing panics.

use std::vec::Vec;

use abi::{Gpr, Regs};
use iced_x86::{Code as Iced, Decoder, DecoderOptions, Instruction, OpKind};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const RIP: u64 = 0xFFFF_FFFF_8000_1000;

/// What both decoders say of an instruction, in one form.
#[derive(Debug, PartialEq, Eq)]
struct Meaning {
    length: usize,
    width: usize,
    address: u64,
    action: Action,
}

fn meaning(mmio: Mmio, regs: &Regs) -> Meaning {
    let length = usize::from(mmio.length);
    Meaning {
        length,
        width: mmio.width as usize,
        address: mmio.memory.address(regs, RIP + length as u64),
        action: mmio.action,
    }
}

/// iced's reading, if it is one of the moves of the table with a memory operand and
/// without a prefix that is refused on purpose.
fn oracle(bytes: &[u8], regs: &Regs) -> Option<Meaning> {
    let instruction = Decoder::with_ip(64, bytes, RIP, DecoderOptions::NONE).decode();
    let action = oracle_action(&instruction)?;
    let prefixes = &bytes[..instruction.len()];
    let refused = |byte: &u8| matches!(byte, 0x64 | 0x65 | 0xF0 | 0xF2 | 0xF3);
    let is_prefix = |byte: &u8| {
        refused(byte) || matches!(byte, 0x66 | 0x67 | 0x26 | 0x2E | 0x36 | 0x3E | 0x40..=0x4F)
    };
    if prefixes.iter().take_while(|byte| is_prefix(byte)).any(refused) {
        return None;
    }
    let memory = (0..2).find(|n| instruction.op_kind(*n) == OpKind::Memory)?;
    let address = instruction.virtual_address(memory, 0, |register, _, _| {
        if register.is_segment_register() {
            return Some(0);
        }
        let whole = regs[Gpr::from_number(register.number() as u8)];
        Some(if register.size() == 4 { whole & 0xFFFF_FFFF } else { whole })
    })?;
    let width = instruction.memory_size().size();
    Some(Meaning { length: instruction.len(), width, address, action })
}

fn oracle_action(instruction: &Instruction) -> Option<Action> {
    let load = |signed| Action::Load { to: oracle_register(instruction, 0), signed };
    Some(match instruction.code() {
        Iced::Mov_rm8_r8
        | Iced::Mov_rm16_r16
        | Iced::Mov_rm32_r32
        | Iced::Mov_rm64_r64
        | Iced::Mov_moffs8_AL
        | Iced::Mov_moffs16_AX
        | Iced::Mov_moffs32_EAX
        | Iced::Mov_moffs64_RAX => Action::Store(oracle_register(instruction, 1)),
        Iced::Mov_rm8_imm8 | Iced::Mov_rm16_imm16 | Iced::Mov_rm32_imm32 | Iced::Mov_rm64_imm32 => {
            let bits = 8 * instruction.memory_size().size() as u32;
            let value = instruction.immediate(1) << (64 - bits);
            Action::StoreImmediate((value.cast_signed() >> (64 - bits)).cast_unsigned())
        }
        Iced::Mov_r8_rm8
        | Iced::Mov_r16_rm16
        | Iced::Mov_r32_rm32
        | Iced::Mov_r64_rm64
        | Iced::Mov_AL_moffs8
        | Iced::Mov_AX_moffs16
        | Iced::Mov_EAX_moffs32
        | Iced::Mov_RAX_moffs64
        | Iced::Movzx_r16_rm8
        | Iced::Movzx_r32_rm8
        | Iced::Movzx_r64_rm8
        | Iced::Movzx_r16_rm16
        | Iced::Movzx_r32_rm16
        | Iced::Movzx_r64_rm16 => load(false),
        Iced::Movsx_r16_rm8
        | Iced::Movsx_r32_rm8
        | Iced::Movsx_r64_rm8
        | Iced::Movsx_r16_rm16
        | Iced::Movsx_r32_rm16
        | Iced::Movsx_r64_rm16
        | Iced::Movsxd_r32_rm32
        | Iced::Movsxd_r64_rm32 => load(true),
        _ => return None,
    })
}

fn oracle_register(instruction: &Instruction, operand: u32) -> Register {
    use iced_x86::Register as R;
    let register = instruction.op_register(operand);
    let number = register.full_register().number() as u8;
    let part = match (register, register.size()) {
        (R::AH | R::CH | R::DH | R::BH, _) => Part::HighByte,
        (_, 1) => Part::Byte,
        (_, 2) => Part::Word,
        (_, 4) => Part::Dword,
        (_, _) => Part::Qword,
    };
    Register::new(Gpr::from_number(number), part)
}

fn agree(bytes: &[u8], regs: &Regs) -> Result<(), TestCaseError> {
    let ours = decode(bytes);
    prop_assert_eq!(
        ours.ok().map(|mmio| meaning(mmio, regs)),
        oracle(bytes, regs),
        "bytes {:02x?}, we say {:?}",
        bytes,
        ours
    );
    if let Ok(mmio) = ours {
        for end in 0..usize::from(mmio.length) {
            prop_assert_eq!(decode(&bytes[..end]), Err(DecodeError::Truncated));
        }
    }
    Ok(())
}

/// Prefixes, an opcode of the table or any, and random operand bytes.
fn instruction() -> impl Strategy<Value = Vec<u8>> {
    const PREFIXES: [u8; 14] =
        [0x66, 0x67, 0x26, 0x2E, 0x36, 0x3E, 0x64, 0xF2, 0xF3, 0xF0, 0x40, 0x44, 0x48, 0x4B];
    const OPCODES: [&[u8]; 17] = [
        &[0x88],
        &[0x89],
        &[0x8A],
        &[0x8B],
        &[0xA0],
        &[0xA1],
        &[0xA2],
        &[0xA3],
        &[0xC6],
        &[0xC7],
        &[0x63],
        &[0x0F, 0xB6],
        &[0x0F, 0xB7],
        &[0x0F, 0xBE],
        &[0x0F, 0xBF],
        &[0x0F],
        &[],
    ];
    let prefixes = prop_oneof![
        6 => prop::collection::vec(select(&PREFIXES[..2]), 0..2),
        3 => prop::collection::vec(select(&PREFIXES[..]), 0..4),
        1 => prop::collection::vec(select(&PREFIXES[..]), 0..16),
    ];
    let rex = prop::option::of(0x40..=0x4Fu8);
    // A third of the C6 and C7 get extension 0, and memory forms are common.
    let mod_rm = prop_oneof![any::<u8>(), (0..3u8, 0..8u8).prop_map(|(m, rm)| m << 6 | rm)];
    let tail = prop::collection::vec(any::<u8>(), 0..16);
    (prefixes, rex, select(&OPCODES[..]), mod_rm, tail).prop_map(
        |(prefixes, rex, opcode, mod_rm, tail)| {
            [&prefixes[..], rex.as_slice(), opcode, &[mod_rm], &tail].concat()
        },
    )
}

fn registers() -> impl Strategy<Value = Regs> {
    any::<[u64; 16]>().prop_map(|values| {
        let mut regs = Regs::default();
        for (gpr, value) in Gpr::ALL.into_iter().zip(values) {
            regs[gpr] = value;
        }
        regs
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 120_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn instructions_mean_what_iced_says(bytes in instruction(), regs in registers()) {
        agree(&bytes, &regs)?;
    }

    #[test]
    fn random_bytes_mean_what_iced_says(bytes in any::<[u8; 20]>(), end in 0..=20usize) {
        agree(&bytes[..end], &Regs::default())?;
    }
}

#[test]
fn each_form_is_decoded() {
    let forms: [(&[u8], u8, MmioWidth); 12] = [
        (&[0x88, 0x27], 2, MmioWidth::Byte),              // mov [rdi], ah
        (&[0x66, 0x89, 0x07], 3, MmioWidth::Word),        // mov [rdi], ax
        (&[0x8A, 0x07], 2, MmioWidth::Byte),              // mov al, [rdi]
        (&[0x48, 0x8B, 0x04, 0x8F], 4, MmioWidth::Qword), // mov rax, [rdi+rcx*4]
        (&[0xA1, 1, 2, 3, 4, 5, 6, 7, 8], 9, MmioWidth::Dword), // mov eax, moffs
        (&[0x67, 0xA2, 1, 2, 3, 4], 6, MmioWidth::Byte),  // mov moffs32, al
        (&[0xC6, 0x07, 0x80], 3, MmioWidth::Byte),        // mov byte [rdi], 0x80
        (&[0x48, 0xC7, 0x47, 1, 0, 0, 0, 0x80], 8, MmioWidth::Qword), // mov qword [rdi+1], imm
        (&[0xC7, 0x05, 0, 0, 0, 0, 1, 2, 3, 4], 10, MmioWidth::Dword), // mov [rip], imm32
        (&[0x48, 0x63, 0x07], 3, MmioWidth::Dword),       // movsxd rax, [rdi]
        (&[0x0F, 0xB6, 0x07], 3, MmioWidth::Byte),        // movzx eax, byte [rdi]
        (&[0x4C, 0x0F, 0xBF, 0x07], 4, MmioWidth::Word),  // movsx r8, word [rdi]
    ];
    for (bytes, length, width) in forms {
        let mmio = decode(bytes).unwrap_or_else(|error| panic!("{bytes:02x?}: {error}"));
        assert_eq!((mmio.length, mmio.width), (length, width), "{bytes:02x?}");
    }
}

#[test]
fn a_refusal_says_why() {
    let refusals: [(&[u8], DecodeError); 10] = [
        (&[], DecodeError::Truncated),
        (&[0x66; 16], DecodeError::TooLong),
        (&[0xF0, 0x89, 0x07], DecodeError::Prefix(0xF0)),
        (&[0x65, 0x8B, 0x07], DecodeError::Prefix(0x65)),
        (&[0x66, 0x63, 0x07], DecodeError::Prefix(0x66)),
        (&[0x89, 0xC0], DecodeError::NoMemory),
        (&[0xC7, 0x0F], DecodeError::Extension(1)),
        (&[0x01, 0x07], DecodeError::Opcode(0x01)),
        (&[0xC4, 0xE1], DecodeError::Opcode(0xC4)),
        (&[0x0F, 0x10, 0x07], DecodeError::TwoByteOpcode(0x10)),
    ];
    for (bytes, error) in refusals {
        assert_eq!(decode(bytes), Err(error), "{bytes:02x?}");
    }
}
