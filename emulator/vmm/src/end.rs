//! How a run ends: the line in the log, and the verdict.

use core::fmt;

use abi::exit::TdExitStatus;
use abi::{Status, verdict};

use crate::failure::Failure;
use crate::vmcall::FatalText;

/// The end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The TD ended the run by itself, with this value on the debug-exit port.
    Verdict(u32),
    /// The TD died.
    Died(Death),
    /// The TD makes no progress.
    Hung(Hang),
    /// Something else than the TD failed.
    Failed(Failure),
}

/// Why a TD died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// It reported a fatal error.
    Fatal {
        /// R12.
        code: u64,
        /// The registers' text.
        text: FatalText,
    },
    /// It touched a page that it has not accepted, and had #VE for that disabled.
    PendingPage(u64),
    /// It touched private memory where there is none.
    OutsideMemory(u64),
    /// It accepted a part of a page that the VMM has added as a larger one.
    PartOfLargePage(u64),
    /// It touched the shared half of a page that the VMM has not converted, whatever it said.
    NotShared(u64),
    /// It asked for private memory where there is none.
    Unconvertible(u64),
    /// An access to MMIO that can not become a #VE: a fetch, or in the middle of one.
    NoVe(u64),
    /// The shared EPT is misconfigured.
    Misconfiguration(u64),
    /// It reset the machine.
    Reset,
    /// It switched the machine off without a verdict.
    PowerOff,
    /// It wrote a number to the debug-exit port that is no TD's verdict.
    NoVerdict(u32),
    /// A TD exit that KVM ends a TD for.
    Exit(TdExitStatus),
}

/// Why a TD counts as hung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hang {
    /// It ran for longer than the configuration allows.
    Timeout {
        /// Milliseconds.
        limit_ms: u64,
    },
    /// It halted with interrupts blocked.
    HaltedForEver,
    /// It halted, and nothing is armed that could interrupt it.
    NothingToWaitFor,
    /// The same fault came again and again.
    NoProgress {
        /// Guest-physical address.
        gpa: u64,
    },
}

impl End {
    /// What QEMU is to exit with.
    #[must_use]
    pub const fn verdict(&self) -> u32 {
        match self {
            Self::Verdict(value) => *value,
            Self::Died(_) => verdict::TD_DIED,
            Self::Hung(_) => verdict::TIMED_OUT,
            Self::Failed(error) => error.verdict(),
        }
    }

    /// The end for a value that the TD wrote to the debug-exit port. It speaks for itself
    /// alone: the verdicts of module and VMM are not its to give.
    #[must_use]
    pub const fn of_verdict(value: u32) -> Self {
        match value {
            verdict::PASSED
            | verdict::CHECK_FAILED
            | verdict::NOT_A_TRUST_DOMAIN
            | verdict::TD_DIED => Self::Verdict(value),
            _ => Self::Died(Death::NoVerdict(value)),
        }
    }
}

impl From<Failure> for End {
    fn from(error: Failure) -> Self {
        Self::Failed(error)
    }
}

impl From<Death> for End {
    fn from(death: Death) -> Self {
        Self::Died(death)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verdict(value) => write!(f, "td ended with verdict {value:#x}"),
            Self::Died(Death::Fatal { text, .. }) => write!(f, "fatal error from TD: {text}"),
            Self::Died(death) => write!(f, "td died: {death}"),
            Self::Hung(hang) => write!(f, "td hung: {hang}"),
            Self::Failed(error) => write!(f, "error: {error}"),
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fatal { code, text } => write!(f, "fatal error {code:#x}: {text}"),
            Self::PendingPage(gpa) => {
                write!(f, "it touched private page {gpa:#x}, which it has not accepted")
            }
            Self::OutsideMemory(gpa) => {
                write!(f, "it touched private page {gpa:#x}, where it has no memory")
            }
            Self::PartOfLargePage(gpa) => {
                write!(f, "it accepted a part of the 2 MiB page at {gpa:#x}")
            }
            Self::NotShared(gpa) => {
                write!(f, "it touched {gpa:#x}, which was not made shared")
            }
            Self::Unconvertible(gpa) => {
                write!(f, "it asked for private memory at {gpa:#x}, where none is")
            }
            Self::NoVe(gpa) => {
                write!(f, "it accessed device page {gpa:#x} where no #VE can be delivered")
            }
            Self::Misconfiguration(gpa) => write!(f, "EPT misconfiguration at {gpa:#x}"),
            Self::Reset => f.write_str("it reset the machine"),
            Self::PowerOff => f.write_str("it switched the machine off without a verdict"),
            Self::NoVerdict(value) => {
                write!(f, "it wrote {value:#x} to the debug-exit port, which is no TD's verdict")
            }
            Self::Exit(exit) if exit.class().0 == 0 => {
                write!(f, "{} that nobody can handle", exit.reason())
            }
            // These come without a reason.
            Self::Exit(exit)
                if exit.class().is(Status::HOST_PRIORITY_BUSY_TIMEOUT)
                    || exit.class().is(Status::CROSS_TD_TRAP) =>
            {
                write!(f, "{}", exit.class())
            }
            Self::Exit(exit) => write!(f, "{} ({})", exit.reason(), exit.class()),
        }
    }
}

impl fmt::Display for Hang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout { limit_ms } => write!(f, "no end after {limit_ms} ms"),
            Self::HaltedForEver => f.write_str("HLT with interrupts blocked would idle for ever"),
            Self::NothingToWaitFor => {
                f.write_str("HLT with no interrupt pending and no timer armed would idle for ever")
            }
            Self::NoProgress { gpa } => {
                write!(f, "the same fault at {gpa:#x} again and again")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn a_triple_fault_is_named() {
        let exit = TdExitStatus(Status::NON_RECOVERABLE_VCPU.0 | 2);
        let end = End::Died(Death::Exit(exit));
        assert_eq!(format!("{end}"), "td died: triple fault (NON_RECOVERABLE_VCPU)");
        assert_eq!(end.verdict(), verdict::TD_DIED);
    }

    #[test]
    fn a_trap_has_a_class_and_no_reason() {
        let exit = TdExitStatus(Status::HOST_PRIORITY_BUSY_TIMEOUT.0);
        let end = End::Died(Death::Exit(exit));
        assert_eq!(format!("{end}"), "td died: HOST_PRIORITY_BUSY_TIMEOUT");
    }

    #[test]
    fn a_td_can_not_give_the_verdict_of_others() {
        for value in [verdict::PASSED, verdict::CHECK_FAILED, verdict::NOT_A_TRUST_DOMAIN] {
            assert_eq!(End::of_verdict(value), End::Verdict(value));
        }
        for value in [0, verdict::TIMED_OUT, verdict::EMULATOR_FAILED, verdict::VMM_STOPPED, !0] {
            assert_eq!(End::of_verdict(value).verdict(), verdict::TD_DIED);
        }
    }
}
