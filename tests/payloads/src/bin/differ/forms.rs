//! The forms of instruction that access memory and that the kernel emulates.

/// Flags in RFLAGS.
pub(crate) const CF: u64 = 1 << 0;
pub(crate) const PF: u64 = 1 << 2;
pub(crate) const AF: u64 = 1 << 4;
pub(crate) const ZF: u64 = 1 << 6;
pub(crate) const SF: u64 = 1 << 7;
pub(crate) const DF: u64 = 1 << 10;
pub(crate) const OF: u64 = 1 << 11;
/// The flags that instructions of this kind write or read.
pub(crate) const FLAGS: u64 = CF | PF | AF | ZF | SF | DF | OF;

/// Which sizes a form has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sizes {
    /// One byte.
    Byte,
    /// 16, 32 or 64 bits, by prefixes.
    Wide,
}

/// Where the operands are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operands {
    /// ModRM: memory and a register that is read, and maybe written.
    Register,
    /// ModRM: memory and a register that is written only. The number is the memory's bytes;
    /// 0: those of the register.
    Load(u8),
    /// ModRM with /digit, and so many bytes of immediate; 4: as wide as the operand, at
    /// most 4.
    Digit(u8, u8),
    /// ModRM with a register that gives a bit's number: the memory is near the address.
    BitRegister,
    /// ModRM with /digit and a bit's number as immediate byte.
    BitImmediate(u8),
    /// RAX and an address of eight bytes in the instruction.
    Offset,
    /// RDI, RAX.
    Store,
    /// RSI, RAX.
    LoadString,
    /// RSI and RDI.
    Move,
}

/// A form.
pub(crate) struct Form {
    pub(crate) name: &'static str,
    /// One byte, or 0x0F and another.
    pub(crate) opcode: &'static [u8],
    pub(crate) sizes: Sizes,
    pub(crate) operands: Operands,
    /// Flags that the manual leaves undefined after it.
    pub(crate) undefined: u64,
}

const fn form(
    name: &'static str,
    opcode: &'static [u8],
    sizes: Sizes,
    operands: Operands,
    undefined: u64,
) -> Form {
    Form { name, opcode, sizes, operands, undefined }
}

use Operands::{BitImmediate, BitRegister, Digit, Load, LoadString, Move, Offset, Register, Store};
use Sizes::{Byte, Wide};

/// Undefined after BT, BTS, BTR, BTC: the manuals define CF, and that ZF stays.
const BIT: u64 = OF | SF | AF | PF;

/// All forms.
#[rustfmt::skip]
pub(crate) static FORMS: [Form; 93] = [
    form("mov m8, r8", &[0x88], Byte, Register, 0),
    form("mov m, r", &[0x89], Wide, Register, 0),
    form("mov r8, m8", &[0x8A], Byte, Load(0), 0),
    form("mov r, m", &[0x8B], Wide, Load(0), 0),
    form("mov m8, imm8", &[0xC6], Byte, Digit(0, 1), 0),
    form("mov m, imm", &[0xC7], Wide, Digit(0, 4), 0),
    form("mov al, moffs", &[0xA0], Byte, Offset, 0),
    form("mov rax, moffs", &[0xA1], Wide, Offset, 0),
    form("mov moffs, al", &[0xA2], Byte, Offset, 0),
    form("mov moffs, rax", &[0xA3], Wide, Offset, 0),
    form("movzx r, m8", &[0x0F, 0xB6], Wide, Load(1), 0),
    form("movzx r, m16", &[0x0F, 0xB7], Wide, Load(2), 0),
    form("movsx r, m8", &[0x0F, 0xBE], Wide, Load(1), 0),
    form("movsx r, m16", &[0x0F, 0xBF], Wide, Load(2), 0),
    form("movsxd r, m32", &[0x63], Wide, Load(4), 0),
    form("xchg m8, r8", &[0x86], Byte, Register, 0),
    form("xchg m, r", &[0x87], Wide, Register, 0),
    form("add m8, r8", &[0x00], Byte, Register, 0),
    form("add m, r", &[0x01], Wide, Register, 0),
    form("add r8, m8", &[0x02], Byte, Register, 0),
    form("add r, m", &[0x03], Wide, Register, 0),
    form("or m8, r8", &[0x08], Byte, Register, AF),
    form("or m, r", &[0x09], Wide, Register, AF),
    form("or r8, m8", &[0x0A], Byte, Register, AF),
    form("or r, m", &[0x0B], Wide, Register, AF),
    form("adc m8, r8", &[0x10], Byte, Register, 0),
    form("adc m, r", &[0x11], Wide, Register, 0),
    form("adc r8, m8", &[0x12], Byte, Register, 0),
    form("adc r, m", &[0x13], Wide, Register, 0),
    form("sbb m8, r8", &[0x18], Byte, Register, 0),
    form("sbb m, r", &[0x19], Wide, Register, 0),
    form("sbb r8, m8", &[0x1A], Byte, Register, 0),
    form("sbb r, m", &[0x1B], Wide, Register, 0),
    form("and m8, r8", &[0x20], Byte, Register, AF),
    form("and m, r", &[0x21], Wide, Register, AF),
    form("and r8, m8", &[0x22], Byte, Register, AF),
    form("and r, m", &[0x23], Wide, Register, AF),
    form("sub m8, r8", &[0x28], Byte, Register, 0),
    form("sub m, r", &[0x29], Wide, Register, 0),
    form("sub r8, m8", &[0x2A], Byte, Register, 0),
    form("sub r, m", &[0x2B], Wide, Register, 0),
    form("xor m8, r8", &[0x30], Byte, Register, AF),
    form("xor m, r", &[0x31], Wide, Register, AF),
    form("xor r8, m8", &[0x32], Byte, Register, AF),
    form("xor r, m", &[0x33], Wide, Register, AF),
    form("cmp m8, r8", &[0x38], Byte, Register, 0),
    form("cmp m, r", &[0x39], Wide, Register, 0),
    form("cmp r8, m8", &[0x3A], Byte, Register, 0),
    form("cmp r, m", &[0x3B], Wide, Register, 0),
    form("test m8, r8", &[0x84], Byte, Register, AF),
    form("test m, r", &[0x85], Wide, Register, AF),
    form("add m8, imm8", &[0x80], Byte, Digit(0, 1), 0),
    form("or m8, imm8", &[0x80], Byte, Digit(1, 1), AF),
    form("adc m8, imm8", &[0x80], Byte, Digit(2, 1), 0),
    form("sbb m8, imm8", &[0x80], Byte, Digit(3, 1), 0),
    form("and m8, imm8", &[0x80], Byte, Digit(4, 1), AF),
    form("sub m8, imm8", &[0x80], Byte, Digit(5, 1), 0),
    form("xor m8, imm8", &[0x80], Byte, Digit(6, 1), AF),
    form("cmp m8, imm8", &[0x80], Byte, Digit(7, 1), 0),
    form("add m, imm", &[0x81], Wide, Digit(0, 4), 0),
    form("or m, imm", &[0x81], Wide, Digit(1, 4), AF),
    form("and m, imm", &[0x81], Wide, Digit(4, 4), AF),
    form("sub m, imm", &[0x81], Wide, Digit(5, 4), 0),
    form("cmp m, imm", &[0x81], Wide, Digit(7, 4), 0),
    form("or m, imm8", &[0x83], Wide, Digit(1, 1), AF),
    form("adc m, imm8", &[0x83], Wide, Digit(2, 1), 0),
    form("sbb m, imm8", &[0x83], Wide, Digit(3, 1), 0),
    form("xor m, imm8", &[0x83], Wide, Digit(6, 1), AF),
    form("cmp m, imm8", &[0x83], Wide, Digit(7, 1), 0),
    form("test m8, imm8", &[0xF6], Byte, Digit(0, 1), AF),
    form("test m, imm", &[0xF7], Wide, Digit(0, 4), AF),
    form("not m8", &[0xF6], Byte, Digit(2, 0), 0),
    form("not m", &[0xF7], Wide, Digit(2, 0), 0),
    form("neg m8", &[0xF6], Byte, Digit(3, 0), 0),
    form("neg m", &[0xF7], Wide, Digit(3, 0), 0),
    form("inc m8", &[0xFE], Byte, Digit(0, 0), 0),
    form("inc m", &[0xFF], Wide, Digit(0, 0), 0),
    form("dec m8", &[0xFE], Byte, Digit(1, 0), 0),
    form("dec m", &[0xFF], Wide, Digit(1, 0), 0),
    form("bt m, imm8", &[0x0F, 0xBA], Wide, BitImmediate(4), BIT),
    form("bts m, imm8", &[0x0F, 0xBA], Wide, BitImmediate(5), BIT),
    form("btr m, imm8", &[0x0F, 0xBA], Wide, BitImmediate(6), BIT),
    form("btc m, imm8", &[0x0F, 0xBA], Wide, BitImmediate(7), BIT),
    form("bt m, r", &[0x0F, 0xA3], Wide, BitRegister, BIT),
    form("bts m, r", &[0x0F, 0xAB], Wide, BitRegister, BIT),
    form("btr m, r", &[0x0F, 0xB3], Wide, BitRegister, BIT),
    form("btc m, r", &[0x0F, 0xBB], Wide, BitRegister, BIT),
    form("stosb", &[0xAA], Byte, Store, 0),
    form("stos", &[0xAB], Wide, Store, 0),
    form("lodsb", &[0xAC], Byte, LoadString, 0),
    form("lods", &[0xAD], Wide, LoadString, 0),
    form("movsb", &[0xA4], Byte, Move, 0),
    form("movs", &[0xA5], Wide, Move, 0),
];
