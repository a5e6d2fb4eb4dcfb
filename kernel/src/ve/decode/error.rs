//! Why bytes are not decoded.

use core::fmt;

/// Why bytes are not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes end before the instruction does.
    Truncated,
    /// The instruction is longer than 15 bytes.
    TooLong,
    /// LOCK: the host does not keep anybody from the device between a read and a write.
    Lock,
    /// F2 or F3, and the instruction is not a string instruction.
    Repeat,
    /// MOVSXD with a 16-bit operand: processors differ.
    NarrowMovsxd,
    /// An opcode outside the table.
    Opcode(u8),
    /// An opcode outside the table, behind 0F.
    TwoByteOpcode(u8),
    /// An opcode of the table whose ModRM byte makes it another instruction: bits 5:3.
    Extension(u8),
    /// Both operands are registers.
    NoMemory,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the instruction is cut off"),
            Self::TooLong => f.write_str("the instruction is longer than 15 bytes"),
            Self::Lock => f.write_str("a locked access to a device can not be kept atomic"),
            Self::Repeat => f.write_str("a repeat prefix without a string instruction"),
            Self::NarrowMovsxd => f.write_str("movsxd with a 16-bit operand is not handled"),
            Self::Opcode(byte) => write!(f, "opcode {byte:02x} is not handled"),
            Self::TwoByteOpcode(byte) => write!(f, "opcode 0f {byte:02x} is not handled"),
            Self::Extension(number) => write!(f, "opcode extension /{number} is not handled"),
            Self::NoMemory => f.write_str("the instruction accesses no memory"),
        }
    }
}

impl core::error::Error for DecodeError {}
