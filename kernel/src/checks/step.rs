//! The steps of a check: what was done, and what must have come of it.

use core::fmt;

use abi::ExitReason;

use crate::ve::{self, LastVe};
use crate::{memory, print, println};

/// A pattern for registers whose upper bits must survive, or must not.
pub(super) const PATTERN: u64 = 0x1122_3344_5566_7788;

/// The steps of one check so far.
#[derive(Debug)]
pub(super) struct Steps {
    /// Only what fails is shown.
    is_quiet: bool,
    failure: Option<Failure>,
    skipped: Option<&'static str>,
}

/// The first step that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) step: &'static str,
    pub(super) result: u64,
    pub(super) wanted: u64,
    /// What the router saw, if the step is an instruction that it has to see.
    pub(super) seen: Option<Seen>,
}

/// What the router must have seen and done for one instruction.
pub(super) struct Expected {
    pub(super) cause: &'static str,
    pub(super) reason: ExitReason,
    /// Compared after masking with the second number.
    pub(super) qualification: (u64, u64),
    pub(super) gpa: Option<u64>,
    pub(super) call: Option<(u64, u64)>,
}

impl Steps {
    pub(super) const fn new(is_quiet: bool) -> Self {
        Self { is_quiet, failure: None, skipped: None }
    }

    pub(super) const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    pub(super) const fn skipped(&self) -> Option<&'static str> {
        self.skipped
    }

    /// The platform lacks what the check needs.
    pub(super) const fn skip(&mut self, reason: &'static str) {
        self.skipped = Some(reason);
    }

    /// A step without an exception.
    pub(super) fn equal(&mut self, step: &'static str, result: u64, wanted: u64) {
        let is_right = result == wanted;
        if self.shows(is_right) {
            println!("# {} {step}: {result:#x}, expected {wanted:#x}", word(is_right));
        }
        if !is_right {
            self.fail(Failure { step, result, wanted, seen: None });
        }
    }

    /// A step that has no numbers to show.
    pub(super) fn holds(&mut self, step: &'static str, is_right: bool) {
        if self.shows(is_right) {
            println!("# {} {step}", word(is_right));
        }
        if !is_right {
            self.fail(Failure { step, result: 0, wanted: 1, seen: None });
        }
    }

    /// One routed instruction and its result.
    pub(super) fn routed(&mut self, expected: &Expected, seen: Seen, result: u64, wanted: u64) {
        let last = &seen.last;
        let Expected { reason, qualification: (bits, mask), gpa, call, .. } = *expected;
        let is_right = seen.exceptions == 1
            && last.reason == reason
            && last.qualification & mask == bits
            && gpa.is_none_or(|gpa| last.gpa == gpa)
            && last.call == call
            && result == wanted;
        if self.shows(is_right) {
            row(expected, is_right, last, (result, wanted));
        }
        if !is_right {
            println!("#      {} exceptions; expected {reason}, {expected}", seen.exceptions);
            self.fail(Failure { step: expected.cause, result, wanted, seen: Some(seen) });
        }
    }

    const fn shows(&self, is_right: bool) -> bool {
        !(self.is_quiet && is_right)
    }

    fn fail(&mut self, failure: Failure) {
        if self.failure.is_none() {
            self.failure = Some(failure);
        }
    }
}

/// The line of a routed instruction.
fn row(expected: &Expected, is_right: bool, last: &LastVe, (result, wanted): (u64, u64)) {
    print!("# {} {:<8}{:<17}", word(is_right), expected.cause, Code(last));
    print!("{:>4} {:<#11x}", last.reason.0, last.qualification);
    match expected.gpa {
        Some(_) => print!("{:<#17x}", last.gpa),
        None => print!("{:<17}", "-"),
    }
    match last.call {
        Some((function, mask)) => print!("{function:<#6x}{mask:<#7x}"),
        None => print!("{:<6}{:<7}", "-", "-"),
    }
    println!("{result:<#19x}{wanted:#x}");
}

/// How a step's line begins.
const fn word(is_right: bool) -> &'static str {
    if is_right { "ok  " } else { "FAIL" }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bits, mask) = self.qualification;
        write!(f, "qualification {bits:#x} of {mask:#x}, gpa {:x?}", self.gpa)?;
        write!(f, ", call {:x?}", self.call)
    }
}

/// The exceptions that something raised.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) exceptions: u64,
    pub(super) last: LastVe,
}

/// Does something and tells what the router saw of it.
pub(super) fn watch<R>(act: impl FnOnce() -> R) -> (R, Seen) {
    let before = ve::last().number;
    let result = act();
    let last = ve::last();
    (result, Seen { exceptions: last.number - before, last })
}

/// The instruction's bytes, read from memory.
struct Code<'a>(&'a LastVe);

impl fmt::Display for Code<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = memory::code_at(self.0.rip);
        let bytes = code.get(..self.0.length).unwrap_or(&code);
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        let width = f.width().unwrap_or(0).saturating_sub(2 * bytes.len());
        write!(f, "{:width$}", "")
    }
}
