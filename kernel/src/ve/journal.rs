//! The last routed exception, for the proof to print what really happened.

use abi::{ExitReason, VeInfo};
use spin::Mutex;
use x86_64::instructions::interrupts::without_interrupts;

use super::Routed;

static LAST: Mutex<LastVe> = Mutex::new(LastVe::NONE);

/// A routed exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastVe {
    /// Exceptions routed so far, this one included.
    pub number: u64,
    /// Exit reason.
    pub reason: ExitReason,
    /// Exit qualification.
    pub qualification: u64,
    /// GPA, of an EPT violation.
    pub gpa: u64,
    /// Where the instruction stands.
    pub rip: u64,
    /// Bytes of the instruction.
    pub length: usize,
    /// Sub-function and RCX mask of the VP.VMCALL, if one was made.
    pub call: Option<(u64, u64)>,
    /// What the host gave or was given.
    pub value: u64,
}

impl LastVe {
    const NONE: Self = Self {
        number: 0,
        reason: ExitReason(0),
        qualification: 0,
        gpa: 0,
        rip: 0,
        length: 0,
        call: None,
        value: 0,
    };
}

/// The last routed exception; number 0 if there was none.
#[must_use]
pub fn last() -> LastVe {
    without_interrupts(|| *LAST.lock())
}

/// Notes a routed exception. Called with interrupts off.
pub(super) fn record(info: &VeInfo, rip: u64, routed: &Routed) {
    // Held only by an exception inside `last` or here, which panics anyway.
    if let Some(mut last) = LAST.try_lock() {
        *last = LastVe {
            number: last.number + 1,
            reason: info.reason(),
            qualification: info.qualification,
            gpa: info.guest_physical_address,
            rip,
            length: routed.length as usize,
            call: routed.call,
            value: routed.value,
        };
    }
}
