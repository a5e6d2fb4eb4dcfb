//! The last exception, for the checks and the shell to print what really happened.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use abi::{ExitReason, VeInfo};
use spin::Mutex;
use x86_64::instructions::interrupts::without_interrupts;

use super::Routed;
use crate::fault::Fault;

static LAST: Mutex<LastVe> = Mutex::new(LastVe::NONE);

/// Whether each exception's time is taken.
static IS_TIMED: AtomicBool = AtomicBool::new(false);
/// The exception that took longest: ticks in the upper 48 bits, exit reason below; 0 is none.
static SLOWEST: AtomicU64 = AtomicU64::new(0);
const REASON_BITS: u32 = 16;

/// What became of an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was routed.
    Routed,
    /// It was refused: the instruction, which was prepared for that, got this exception.
    Refused(Fault),
}

/// An exception that did not stop the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastVe {
    /// Exceptions so far, this one included.
    pub number: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// Exit reason.
    pub reason: ExitReason,
    /// Exit qualification.
    pub qualification: u64,
    /// GPA, of an EPT violation.
    pub gpa: u64,
    /// Where the instruction stands.
    pub rip: u64,
    /// Bytes of the instruction; 0 if it goes on, or RIP is behind it.
    pub length: usize,
    /// Sub-function and RCX mask of the VP.VMCALL, if one was made.
    pub call: Option<(u64, u64)>,
    /// What the host gave or was given; the vector of a refusal.
    pub value: u64,
}

impl LastVe {
    const NONE: Self = Self {
        number: 0,
        outcome: Outcome::Routed,
        reason: ExitReason(0),
        qualification: 0,
        gpa: 0,
        rip: 0,
        length: 0,
        call: None,
        value: 0,
    };
}

/// The last exception; number 0 if there was none.
#[must_use]
pub fn last() -> LastVe {
    without_interrupts(|| *LAST.lock())
}

/// From here on the time that each exception takes is noted.
pub fn start_timing() {
    IS_TIMED.store(true, Ordering::Relaxed);
}

/// The exit reason of the exception that took longest since [`start_timing`], and its ticks of
/// the time stamp counter: what the host did for it included.
#[must_use]
pub fn slowest() -> Option<(ExitReason, u64)> {
    let slowest = SLOWEST.load(Ordering::Relaxed);
    (slowest != 0).then_some((ExitReason(slowest as u16), slowest >> REASON_BITS))
}

pub(super) fn is_timed() -> bool {
    IS_TIMED.load(Ordering::Relaxed)
}

/// Handles an exception and takes its time.
#[cold]
pub(super) fn time(handle: impl FnOnce()) {
    let start = arch::cpu::rdtsc();
    handle();
    let ticks = arch::cpu::rdtsc().wrapping_sub(start);
    let reason = LAST.try_lock().map_or(0, |last| last.reason.0);
    SLOWEST.fetch_max(ticks << REASON_BITS | u64::from(reason), Ordering::Relaxed);
}

/// Notes an exception. Called with interrupts off.
pub(super) fn record(info: &VeInfo, rip: u64, outcome: Outcome, routed: &Routed) {
    // Held only by an exception inside `last` or here, which panics anyway.
    if let Some(mut last) = LAST.try_lock() {
        *last = LastVe {
            number: last.number + 1,
            outcome,
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
