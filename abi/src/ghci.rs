//! GHCI: what TDG.VP.VMCALL's registers mean to guest and VMM. [TDVF 4.3-4.7]
//!
//! R10 = 0 selects the standard functions, R11 the function. The module looks at
//! neither; these are words between TD and VMM alone.

use core::fmt;

use crate::Gpr;

/// Sub-function numbers (R11 when R10 = 0). The low ones are VMX exit reasons.
pub mod function {
    #![expect(missing_docs, reason = "the constant is the sub-function's name")]
    pub const CPUID: u64 = 0x0A;
    pub const HLT: u64 = 0x0C;
    pub const IO: u64 = 0x1E;
    pub const RDMSR: u64 = 0x1F;
    pub const WRMSR: u64 = 0x20;
    pub const MMIO: u64 = 0x30;
    pub const WBINVD: u64 = 0x36;
    pub const PCONFIG: u64 = 0x41;
    pub const GET_TD_VMCALL_INFO: u64 = 0x1_0000;
    pub const MAP_GPA: u64 = 0x1_0001;
    pub const GET_QUOTE: u64 = 0x1_0002;
    pub const REPORT_FATAL_ERROR: u64 = 0x1_0003;
    pub const SETUP_EVENT_NOTIFY_INTERRUPT: u64 = 0x1_0004;
    pub const SERVICE: u64 = 0x1_0005;
    pub const MIGTD: u64 = 0x1_0006;
}

/// The VMM's answer in R10. [TDVF 4.3]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct GhciStatus(pub u64);

impl GhciStatus {
    /// The call did its work.
    pub const SUCCESS: Self = Self(0);
    /// Call again, from the address in R11 (MapGPA) or later (GetQuote).
    pub const RETRY: Self = Self(1);
    /// An argument is not legal.
    pub const INVALID_OPERAND: Self = Self(0x8000_0000_0000_0000);
    /// A page of the range is in use.
    pub const GPA_INUSE: Self = Self(0x8000_0000_0000_0001);
    /// An address or a size is not a multiple of 4 KiB.
    pub const ALIGN_ERROR: Self = Self(0x8000_0000_0000_0002);
    /// The VMM does not have this function.
    pub const SUBFUNC_UNSUPPORTED: Self = Self(0x8000_0000_0000_0003);
}

impl fmt::Display for GhciStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::SUCCESS => f.write_str("SUCCESS"),
            Self::RETRY => f.write_str("RETRY"),
            Self::INVALID_OPERAND => f.write_str("INVALID_OPERAND"),
            Self::GPA_INUSE => f.write_str("GPA_INUSE"),
            Self::ALIGN_ERROR => f.write_str("ALIGN_ERROR"),
            Self::SUBFUNC_UNSUPPORTED => f.write_str("SUBFUNC_UNSUPPORTED"),
            Self(other) => write!(f, "unknown answer {other:#x}"),
        }
    }
}

impl fmt::Debug for GhciStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} ({self})", self.0)
    }
}

/// The registers that carry the text of ReportFatalError, in order, eight bytes
/// each, lowest byte first. [TDVF 4.7]
pub const FATAL_TEXT: [Gpr; 8] =
    [Gpr::R14, Gpr::R15, Gpr::Rbx, Gpr::Rdi, Gpr::Rsi, Gpr::R8, Gpr::R9, Gpr::Rdx];

/// Bytes of text that fit into the registers of [`FATAL_TEXT`].
pub const FATAL_TEXT_BYTES: usize = 8 * FATAL_TEXT.len();
