//! The policy of each cause: what the host is asked, what is answered here, what is refused.
//!
//! [`super::route`] dispatches, and each cause's file decides; this table says what they
//! decide, and tests hold them to it. `docs/ve.md` shows it to people.

use core::fmt;

use abi::ExitReason;
use abi::ghci::function;

use crate::fault::Fault;

/// The policy of one cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Exit reason in VE_INFO.
    pub cause: ExitReason,
    /// The sub-function of VP.VMCALL that the host may be asked, once an exception (INS, OUTS:
    /// once an element), and what for.
    pub asked: Option<(u64, &'static str)>,
    /// What is answered in the TD.
    pub answered: &'static str,
    /// What is refused.
    pub refused: &'static str,
    /// What a refusal is for an instruction that is prepared for it ([`crate::fault`]); others
    /// stop the kernel.
    pub fault: Option<Fault>,
}

const UD: Option<Fault> = Some(Fault::InvalidOpcode);
const GP: Option<Fault> = Some(Fault::GeneralProtection);

/// Every cause that a TD can have, in order of exit reasons. [ABI-G 5]
pub const POLICIES: [Policy; 14] = [
    Policy {
        cause: ExitReason::CPUID,
        asked: Some((function::CPUID, "leaves 0x40000000-0x4FFFFFFF")),
        answered: "leaves that the module does not have: zeros",
        refused: "leaves that the module answers itself",
        fault: None,
    },
    Policy {
        cause: ExitReason::HLT,
        asked: Some((function::HLT, "to sleep, and whether interrupts are blocked")),
        answered: "",
        refused: "",
        fault: None,
    },
    Policy {
        cause: ExitReason::INVD,
        asked: None,
        answered: "",
        refused: "always: it would lose data",
        fault: GP,
    },
    Policy {
        cause: ExitReason::VMCALL,
        asked: None,
        answered: "",
        refused: "always: hypercalls go by TDCALL",
        fault: UD,
    },
    Policy {
        cause: ExitReason::CR_ACCESS,
        asked: None,
        answered: "",
        refused: "always: the module does the legal ones",
        fault: GP,
    },
    Policy {
        cause: ExitReason::IO,
        asked: Some((function::IO, "every port, 1, 2 or 4 bytes")),
        answered: "the memory operand of INS and OUTS",
        refused: "an operand of INS or OUTS that is not private memory",
        fault: None,
    },
    Policy {
        cause: ExitReason::RDMSR,
        asked: Some((function::RDMSR, "the local APIC, TSC_DEADLINE, APIC_BASE")),
        answered: "MTRRs: none but the default, write-back",
        refused: "all others",
        fault: GP,
    },
    Policy {
        cause: ExitReason::WRMSR,
        asked: Some((function::WRMSR, "the local APIC but its error interrupt, TSC_DEADLINE")),
        answered: "",
        refused: "all others",
        fault: GP,
    },
    Policy {
        cause: ExitReason::MWAIT,
        asked: None,
        answered: "",
        refused: "always: CPUID does not show it",
        fault: UD,
    },
    Policy {
        cause: ExitReason::MONITOR,
        asked: None,
        answered: "",
        refused: "always: CPUID does not show it",
        fault: UD,
    },
    Policy {
        cause: ExitReason::EPT_VIOLATION,
        asked: Some((function::MMIO, "devices that the kernel has mapped")),
        answered: "",
        refused: "private memory, unknown devices, code, instructions that are not decoded",
        fault: None,
    },
    Policy {
        cause: ExitReason::WBINVD,
        asked: Some((function::WBINVD, "to do WBINVD or WBNOINVD")),
        answered: "",
        refused: "if the host refuses, as KVM does",
        fault: GP,
    },
    Policy {
        cause: ExitReason::APIC_WRITE,
        asked: None,
        answered: "self-IPI with an illegal vector: no interrupt, bit 5 of ESR",
        refused: "any other register",
        fault: None,
    },
    Policy {
        cause: ExitReason::PCONFIG,
        asked: Some((function::PCONFIG, "leaf 0")),
        answered: "",
        refused: "other leaves",
        fault: GP,
    },
];

/// A row of the table in `docs/ve.md`.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| {} {} |", self.cause.0, self.cause)?;
        match self.asked {
            Some((function, what)) => write!(f, " {function:#x}: {what} |")?,
            None => f.write_str(" - |")?,
        }
        let or_dash = |text: &'static str| if text.is_empty() { "-" } else { text };
        write!(f, " {} | {} |", or_dash(self.answered), or_dash(self.refused))?;
        match self.fault {
            Some(fault) => write!(f, " {fault} |"),
            None if self.refused.is_empty() => f.write_str(" - |"),
            None => f.write_str(" stop |"),
        }
    }
}
