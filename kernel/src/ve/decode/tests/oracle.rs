//! What `iced-x86` says of an instruction, in the decoder's words.
//!
//! The list of codes is the documented list of what is accepted, by iced's names. The
//! fuzz target uses this file, too.

use abi::{Gpr, Regs};
use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register as R};
use std::vec::Vec;

use kernel::ve::Segment;
use kernel::ve::decode::{self, Arithmetic, Operation, Source, StringAction, StringMove};
use kernel::ve::register::{Part, Register};

/// Where an instruction stands, and the bases of FS and GS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site {
    pub(crate) rip: u64,
    pub(crate) fs_base: u64,
    pub(crate) gs_base: u64,
}

impl Site {
    pub(crate) const KERNEL: Self = Self {
        rip: 0xFFFF_FFFF_8000_1000,
        fs_base: 0xF5F5_0000_1111_2222,
        gs_base: 0x6565_0000_3333_4444,
    };

    pub(crate) fn base_of(&self, segment: Segment) -> u64 {
        if segment == Segment::Fs { self.fs_base } else { self.gs_base }
    }
}

/// What both decoders say of an instruction, in one form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) length: usize,
    pub(crate) width: usize,
    /// Of the memory operand, or of both of MOVS.
    pub(crate) address: u64,
    pub(crate) destination: Option<u64>,
    pub(crate) operation: Operation,
    /// Counter and pointers of a string instruction have 32 bits.
    pub(crate) is_narrow_string: bool,
}

/// Ours.
pub(crate) fn meaning(instruction: &decode::Instruction, site: &Site, regs: &Regs) -> Meaning {
    let length = usize::from(instruction.length);
    let next = site.rip + length as u64;
    let base_of = |segment| site.base_of(segment);
    let operation = instruction.operation;
    let is_move =
        matches!(operation, Operation::String(StringMove { action: StringAction::Move, .. }));
    let is_string = matches!(operation, Operation::String(_));
    Meaning {
        length,
        width: instruction.width as usize,
        address: instruction.memory.address(regs, next, base_of),
        destination: is_move.then(|| instruction.destination().address(regs, next, base_of)),
        operation,
        is_narrow_string: is_string && instruction.memory.is_32_bit(),
    }
}

/// iced's, if the instruction is one of those that the decoder's documentation lists; with
/// the name of the form.
pub(crate) fn oracle(bytes: &[u8], site: &Site, regs: &Regs) -> Option<(Code, Meaning)> {
    let instruction = Decoder::with_ip(64, bytes, site.rip, DecoderOptions::NONE).decode();
    let bytes = &bytes[..instruction.len()];
    if instruction.is_invalid() || has_prefix(bytes, |byte| byte == 0xF0) {
        return None;
    }
    let repeats = has_prefix(bytes, |byte| matches!(byte, 0xF2 | 0xF3));
    let operation = match string(&instruction, repeats) {
        Some(operation) => operation,
        None if repeats => return None,
        None => single(&instruction)?,
    };
    let is_narrow = has_prefix(bytes, |byte| byte == 0x67);
    let address = |operand| address(&instruction, operand, is_narrow, site, regs);
    // The operand that is read, if there is one, is the last.
    let operands: Vec<u32> =
        (0..instruction.op_count()).filter(|n| is_memory(instruction.op_kind(*n))).collect();
    let destination = if operands.len() == 2 { Some(address(operands[0])?) } else { None };
    let meaning = Meaning {
        length: instruction.len(),
        width: instruction.memory_size().size(),
        address: address(*operands.last()?)?,
        destination,
        operation,
        is_narrow_string: is_narrow && matches!(operation, Operation::String(_)),
    };
    Some((instruction.code(), meaning))
}

/// Whether one of the prefixes is as wanted: iced does not tell of those that mean nothing.
fn has_prefix(bytes: &[u8], is_wanted: impl Fn(u8) -> bool) -> bool {
    let is_prefix = |byte: &u8| {
        matches!(byte, 0xF0 | 0xF2 | 0xF3 | 0x66 | 0x67 | 0x26 | 0x2E | 0x36 | 0x3E | 0x64 | 0x65)
            || matches!(byte, 0x40..=0x4F)
    };
    bytes.iter().copied().take_while(is_prefix).any(is_wanted)
}

fn is_memory(kind: OpKind) -> bool {
    matches!(
        kind,
        OpKind::Memory
            | OpKind::MemorySegRSI
            | OpKind::MemorySegESI
            | OpKind::MemoryESRDI
            | OpKind::MemoryESEDI
    )
}

fn address(
    instruction: &Instruction,
    operand: u32,
    is_narrow: bool,
    site: &Site,
    regs: &Regs,
) -> Option<u64> {
    let offset = instruction.virtual_address(operand, 0, |register, _, _| {
        if register.is_segment_register() {
            return Some(0);
        }
        let whole = regs[Gpr::from_number(register.number() as u8)];
        Some(if register.size() == 4 { whole & 0xFFFF_FFFF } else { whole })
    })?;
    let offset = offset.wrapping_add_signed(bit_displacement(instruction, regs));
    let offset = if is_narrow { offset & 0xFFFF_FFFF } else { offset };
    let is_es = matches!(instruction.op_kind(operand), OpKind::MemoryESRDI | OpKind::MemoryESEDI);
    let base = match instruction.memory_segment() {
        R::FS if !is_es => site.fs_base,
        R::GS if !is_es => site.gs_base,
        _ => 0,
    };
    Some(base.wrapping_add(offset))
}

/// What the register form of BT and its kin adds to the address, by the manual's formula;
/// iced leaves it out.
fn bit_displacement(instruction: &Instruction, regs: &Regs) -> i64 {
    use Mnemonic::{Bt, Btc, Btr, Bts};
    let is_bit_test = matches!(instruction.mnemonic(), Bt | Bts | Btr | Btc);
    if !is_bit_test || instruction.op1_kind() != OpKind::Register {
        return 0;
    }
    let bits = 8 * instruction.op1_register().size() as i64;
    let number = operand_register(instruction, 1).read(regs);
    let signed = match bits {
        16 => i64::from(number as i16),
        32 => i64::from(number as i32),
        _ => number.cast_signed(),
    };
    signed.div_euclid(bits) * (bits / 8)
}

fn operand_register(instruction: &Instruction, operand: u32) -> Register {
    let register = instruction.op_register(operand);
    let part = match (register, register.size()) {
        (R::AH | R::CH | R::DH | R::BH, _) => Part::HighByte,
        (_, 1) => Part::Byte,
        (_, 2) => Part::Word,
        (_, 4) => Part::Dword,
        (_, _) => Part::Qword,
    };
    Register::new(Gpr::from_number(register.full_register().number() as u8), part)
}

/// Operand 1 as a source, sign-extended if it is an immediate.
fn source(instruction: &Instruction) -> Option<Source> {
    if instruction.op_count() < 2 {
        return None;
    }
    if instruction.op1_kind() == OpKind::Register {
        // Segment, control and other registers are none of the decoder's.
        return instruction
            .op1_register()
            .is_gpr()
            .then(|| Source::Register(operand_register(instruction, 1)));
    }
    let value = instruction.try_immediate(1).ok()?;
    let bits = 8 * instruction.memory_size().size() as u32;
    let signed = match instruction.op1_kind() {
        OpKind::Immediate8 => i64::from(value as i8),
        _ => (value << (64 - bits)).cast_signed() >> (64 - bits),
    };
    Some(Source::Immediate(i32::try_from(signed).ok()?))
}

fn string(instruction: &Instruction, repeats: bool) -> Option<Operation> {
    let accumulator = |operand| operand_register(instruction, operand);
    let action = match instruction.code() {
        Code::Stosb_m8_AL | Code::Stosw_m16_AX | Code::Stosd_m32_EAX | Code::Stosq_m64_RAX => {
            StringAction::Store(accumulator(1))
        }
        Code::Lodsb_AL_m8 | Code::Lodsw_AX_m16 | Code::Lodsd_EAX_m32 | Code::Lodsq_RAX_m64 => {
            StringAction::Load(accumulator(0))
        }
        Code::Movsb_m8_m8 | Code::Movsw_m16_m16 | Code::Movsd_m32_m32 | Code::Movsq_m64_m64 => {
            StringAction::Move
        }
        _ => return None,
    };
    Some(Operation::String(StringMove { action, repeats }))
}

fn single(instruction: &Instruction) -> Option<Operation> {
    let arithmetic = match instruction.mnemonic() {
        Mnemonic::Mov | Mnemonic::Movzx | Mnemonic::Movsx | Mnemonic::Movsxd => {
            return moves(instruction);
        }
        Mnemonic::Xchg => {
            return Some(Operation::Exchange(operand_register(instruction, 1)));
        }
        Mnemonic::Add => Arithmetic::Add,
        Mnemonic::Or => Arithmetic::Or,
        Mnemonic::Adc => Arithmetic::Adc,
        Mnemonic::Sbb => Arithmetic::Sbb,
        Mnemonic::And => Arithmetic::And,
        Mnemonic::Sub => Arithmetic::Sub,
        Mnemonic::Xor => Arithmetic::Xor,
        Mnemonic::Cmp => Arithmetic::Cmp,
        Mnemonic::Test => Arithmetic::Test,
        Mnemonic::Inc => Arithmetic::Inc,
        Mnemonic::Dec => Arithmetic::Dec,
        Mnemonic::Not => Arithmetic::Not,
        Mnemonic::Neg => Arithmetic::Neg,
        Mnemonic::Bt => Arithmetic::Bt,
        Mnemonic::Bts => Arithmetic::Bts,
        Mnemonic::Btr => Arithmetic::Btr,
        Mnemonic::Btc => Arithmetic::Btc,
        _ => return None,
    };
    let is_undocumented = matches!(
        instruction.code(),
        Code::Test_rm8_imm8_F6r1
            | Code::Test_rm16_imm16_F7r1
            | Code::Test_rm32_imm32_F7r1
            | Code::Test_rm64_imm32_F7r1
    );
    if is_undocumented {
        return None;
    }
    Some(match arithmetic {
        Arithmetic::Inc | Arithmetic::Dec => Operation::Modify(arithmetic, Source::Immediate(1)),
        Arithmetic::Not | Arithmetic::Neg => Operation::Modify(arithmetic, Source::Immediate(0)),
        _ if instruction.op0_kind() == OpKind::Register => {
            Operation::Combine(arithmetic, operand_register(instruction, 0))
        }
        _ => Operation::Modify(arithmetic, source(instruction)?),
    })
}

fn moves(instruction: &Instruction) -> Option<Operation> {
    if instruction.code() == Code::Movsxd_r16_rm16 {
        return None;
    }
    if instruction.op0_kind() == OpKind::Memory {
        return Some(Operation::Store(source(instruction)?));
    }
    let signed = matches!(instruction.mnemonic(), Mnemonic::Movsx | Mnemonic::Movsxd);
    let is_gpr = instruction.op0_register().is_gpr();
    is_gpr.then(|| Operation::Load { to: operand_register(instruction, 0), signed })
}
