//! What an instruction does with its memory operand.

use super::super::register::Register;

/// One of the forms that the decoder's table lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Memory to register; a narrower value is extended to the register's part.
    Load {
        /// Where the value goes.
        to: Register,
        /// Extended by its sign (else by zeros).
        signed: bool,
    },
    /// Register or immediate to memory.
    Store(Source),
    /// Register and memory change places.
    Exchange(Register),
    /// memory = memory op source; only flags for CMP, TEST and BT.
    Modify(Arithmetic, Source),
    /// register = register op memory; only flags for CMP.
    Combine(Arithmetic, Register),
    /// One element of a string.
    String(StringMove),
}

/// The operand that is not memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A register.
    Register(Register),
    /// An immediate, to be sign-extended to the operand; 1 for INC and DEC, 0 for NOT and NEG.
    Immediate(i32),
}

/// Operations on two numbers of one width, with flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variant is the instruction")]
pub enum Arithmetic {
    Add,
    Or,
    Adc,
    Sbb,
    And,
    Sub,
    Xor,
    Cmp,
    Test,
    Inc,
    Dec,
    Not,
    Neg,
    Bt,
    Bts,
    Btr,
    Btc,
}

impl Arithmetic {
    /// Bits 5:3 of opcodes 00-3F and of the ModRM byte of 80, 81 and 83; other bits do not
    /// count. [SDM2 A.4.2]
    pub(super) const fn from_number(number: u8) -> Self {
        match number & 7 {
            0 => Self::Add,
            1 => Self::Or,
            2 => Self::Adc,
            3 => Self::Sbb,
            4 => Self::And,
            5 => Self::Sub,
            6 => Self::Xor,
            _ => Self::Cmp,
        }
    }

    /// Bits 1:0 of BT, BTS, BTR and BTC, in this order; other bits do not count.
    pub(super) const fn from_bit_test(number: u8) -> Self {
        match number & 3 {
            0 => Self::Bt,
            1 => Self::Bts,
            2 => Self::Btr,
            _ => Self::Btc,
        }
    }

    /// The result goes somewhere (else only flags are of interest).
    #[must_use]
    pub const fn has_result(self) -> bool {
        !matches!(self, Self::Cmp | Self::Test | Self::Bt)
    }
}

/// STOS, LODS or MOVS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StringMove {
    /// Which.
    pub action: StringAction,
    /// F2 or F3 is there: RCX counts.
    pub repeats: bool,
}

/// What happens to one element. [`super::Instruction::memory`] is the operand at RSI, or at
/// RDI if there is no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringAction {
    /// STOS: AL, AX, EAX or RAX to memory at RDI.
    Store(Register),
    /// LODS: memory at RSI to AL, AX, EAX or RAX.
    Load(Register),
    /// MOVS: memory at RSI to memory at RDI.
    Move,
}

/// How an instruction uses its memory operand; of MOVS it has two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It is read.
    Read,
    /// It is written.
    Write,
    /// It is read, then written.
    ReadWrite,
}

impl Operation {
    /// What happens to [`super::Instruction::memory`].
    #[must_use]
    pub const fn access(&self) -> Access {
        match self {
            Self::Store(_) | Self::String(StringMove { action: StringAction::Store(_), .. }) => {
                Access::Write
            }
            Self::Exchange(_) => Access::ReadWrite,
            Self::Modify(arithmetic, _) if arithmetic.has_result() => Access::ReadWrite,
            Self::Load { .. } | Self::Combine(..) | Self::Modify(..) | Self::String(_) => {
                Access::Read
            }
        }
    }
}
