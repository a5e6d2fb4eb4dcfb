//! Random instructions with registers that lead them into the arena.

use std::string::String;
use std::vec::Vec;

use abi::{Gpr, Regs};
use iced_x86::{Code, ConstantOffsets, Decoder, DecoderOptions, Instruction, Register};

use super::native::ARENA_BYTES;
use crate::ve::decode::tests::oracle::{Meaning, Site, oracle};
use crate::ve::decode::tests::{bytes, hex};
use crate::ve::decode::{Arithmetic, Operation, Source, StringMove};
use crate::ve::random::Random;
use crate::ve::register::{Part, Register as Operand};

/// Flags that a case sets: the status flags and DF; bit 1 is always set.
const FLAGS: u64 = 0xCD5;
const ALWAYS: u64 = 2;
/// Elements of a string, at most.
const MAX_COUNT: u64 = 9;
/// The operand, before the bit offset of BT, is this far from the arena's ends.
const MARGIN: u64 = 12 * 1024;

/// An instruction and the state that it runs in.
pub(super) struct Case {
    pub(super) code: Vec<u8>,
    pub(super) form: Code,
    pub(super) operation: Operation,
    pub(super) regs: Regs,
    pub(super) rflags: u64,
}

impl Case {
    /// The next instruction that can be aimed at the arena at `arena`.
    pub(super) fn any(random: &mut Random, site: &Site, arena: u64) -> Self {
        loop {
            let bytes = bytes::any(random);
            if let Some(case) = Self::aimed(random, bytes.as_slice(), site, arena) {
                return case;
            }
        }
    }

    fn aimed(random: &mut Random, bytes: &[u8], site: &Site, arena: u64) -> Option<Self> {
        let mut regs = registers(random);
        let (_, meaning) = oracle(bytes, site, &regs)?;
        let mut decoder = Decoder::with_ip(64, bytes, site.rip, DecoderOptions::NONE);
        let instruction = decoder.decode();
        let mut code = bytes[..instruction.len()].to_vec();
        // The base of FS is not the test's to choose.
        if instruction.memory_segment() == Register::FS {
            return None;
        }
        let base = if instruction.memory_segment() == Register::GS { site.gs_base } else { 0 };
        let target = arena + MARGIN + random.below(ARENA_BYTES as u64 - 2 * MARGIN);
        let is_narrow = is_narrow(&instruction, &code);
        let mut aim = Aim { random, regs: &mut regs, target, is_narrow };
        if let Operation::String(string) = meaning.operation {
            aim.string(string, base);
        } else {
            if let Some(register) = bit_register(&meaning) {
                aim.bit_offset(&instruction, register)?;
            }
            let offsets = decoder.get_constant_offsets(&instruction);
            aim.operand(&instruction, offsets, base, &mut code)?;
        }
        let rflags = random.next() & FLAGS | ALWAYS;
        let (form, meaning) = oracle(&code, site, &regs)?;
        let case = Self { code, form, operation: meaning.operation, regs, rflags };
        assert!(is_inside(&meaning, arena), "aimed badly: {}", case.describe());
        Some(case)
    }

    /// One line that says it all.
    pub(super) fn describe(&self) -> String {
        let code = hex(&self.code);
        std::format!("{:?} code {code} rflags {:#x} {:x?}", self.form, self.rflags, self.regs)
    }
}

/// All elements that the instruction may touch are in the arena.
fn is_inside(meaning: &Meaning, arena: u64) -> bool {
    let inside = arena + 8 * MAX_COUNT..arena + ARENA_BYTES as u64 - 8 * MAX_COUNT;
    inside.contains(&meaning.address)
        && meaning.destination.is_none_or(|address| inside.contains(&address))
}

/// Random, with a liking for the values at which flags change.
fn registers(random: &mut Random) -> Regs {
    const EDGES: [u64; 12] = [
        0,
        1,
        0x7F,
        0x80,
        0xFF,
        0x7FFF,
        0x8000,
        0x7FFF_FFFF,
        0x8000_0000,
        u64::MAX >> 1,
        1 << 63,
        u64::MAX,
    ];
    let mut regs = Regs::default();
    for gpr in Gpr::ALL {
        regs[gpr] = if random.once_in(4) { random.pick(&EDGES) } else { random.next() };
    }
    regs
}

/// A 32-bit address, by prefix.
fn is_narrow(instruction: &Instruction, code: &[u8]) -> bool {
    let is_prefix = |byte: &&u8| {
        matches!(byte, 0xF2 | 0xF3 | 0x66 | 0x67 | 0x26 | 0x2E | 0x36 | 0x3E | 0x64 | 0x65)
            || matches!(byte, 0x40..=0x4F)
    };
    code[..instruction.len()].iter().take_while(is_prefix).any(|byte| *byte == 0x67)
}

/// The register of the register form of BT and its kin.
fn bit_register(meaning: &Meaning) -> Option<Operand> {
    use Arithmetic::{Bt, Btc, Btr, Bts};
    match meaning.operation {
        Operation::Modify(Bt | Btc | Btr | Bts, Source::Register(register)) => Some(register),
        _ => None,
    }
}

/// Finds registers for a target.
struct Aim<'a> {
    random: &'a mut Random,
    regs: &'a mut Regs,
    target: u64,
    is_narrow: bool,
}

impl Aim<'_> {
    /// Half the registers' bits mean nothing to a 32-bit address.
    fn set(&mut self, gpr: Gpr, value: u64) {
        let garbage = if self.is_narrow { self.random.next() << 32 } else { 0 };
        self.regs[gpr] = if self.is_narrow { value & 0xFFFF_FFFF | garbage } else { value };
    }

    fn string(&mut self, string: StringMove, base: u64) {
        let nearby = self.target + self.random.below(64);
        self.set(Gpr::Rsi, nearby.wrapping_sub(base));
        self.set(Gpr::Rdi, self.target);
        if string.repeats {
            let count = self.random.below(MAX_COUNT);
            self.set(Gpr::Rcx, count);
        }
    }

    /// A bit's number that leads at most 4 KiB away; the bits of the register that the
    /// operand does not have are random. None if the register is part of the address.
    fn bit_offset(&mut self, instruction: &Instruction, register: Operand) -> Option<()> {
        let parts = [instruction.memory_base(), instruction.memory_index()];
        if parts.iter().any(|part| is_same(*part, register.gpr)) {
            return None;
        }
        let number = self.random.below(1 << 16).wrapping_sub(1 << 15);
        register.write(self.regs, number);
        if register.part == Part::Dword {
            self.regs[register.gpr] |= self.random.next() << 32;
        }
        Some(())
    }

    /// Solves base + index * scale + displacement = target - segment base.
    fn operand(
        &mut self,
        instruction: &Instruction,
        offsets: ConstantOffsets,
        segment_base: u64,
        code: &mut [u8],
    ) -> Option<()> {
        let displacement = instruction.memory_displacement64();
        let mut wanted = self.target.wrapping_sub(segment_base);
        let (base, index) = (instruction.memory_base(), instruction.memory_index());
        let scale = u64::from(instruction.memory_index_scale());
        if base == Register::None && index == Register::None
            || matches!(base, Register::RIP | Register::EIP)
        {
            if base != Register::None {
                wanted = wanted.wrapping_sub(instruction.next_ip());
            }
            let size = offsets.displacement_size();
            let at = offsets.displacement_offset();
            code[at..at + size].copy_from_slice(&wanted.to_le_bytes()[..size]);
            return Some(());
        }
        let wanted = wanted.wrapping_sub(displacement);
        let gpr = |register: Register| Gpr::from_number(register.full_register().number() as u8);
        if base == Register::None {
            let is_multiple = wanted.is_multiple_of(scale);
            is_multiple.then(|| self.set(gpr(index), wanted / scale))
        } else if base == index {
            let factor = scale + 1;
            let odd = factor >> factor.trailing_zeros();
            let is_multiple = wanted.is_multiple_of(factor / odd);
            is_multiple
                .then(|| self.set(gpr(base), (wanted / (factor / odd)).wrapping_mul(inverse(odd))))
        } else {
            let moved = if index == Register::None { 0 } else { self.regs[gpr(index)] };
            self.set(gpr(base), wanted.wrapping_sub(moved.wrapping_mul(scale)));
            Some(())
        }
    }
}

fn is_same(register: Register, gpr: Gpr) -> bool {
    register.is_gpr() && register.full_register().number() == gpr as usize
}

/// 1 / `odd` modulo 2^64, by Newton's iteration.
fn inverse(odd: u64) -> u64 {
    (0..6).fold(odd, |x, _| x.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(x))))
}
