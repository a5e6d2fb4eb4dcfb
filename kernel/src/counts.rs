//! The kernel's own count of #VEs and TDCALLs, to be compared with the module's.
//!
//! The module notes its counters at every TDG.VP.INFO. So that both sides count the same
//! stretch of the run, this count starts when the first VP.INFO returns and its printed
//! value is taken right after the last one, which is included.

use abi::Counts;
use abi::leaf::tdg;
use spin::Mutex;
use x86_64::instructions::interrupts::without_interrupts;

use crate::panic;

static COUNTER: Mutex<Counter> = Mutex::new(Counter::new());

#[derive(Debug)]
struct Counter {
    has_started: bool,
    counts: Counts,
}

impl Counter {
    const fn new() -> Self {
        Self { has_started: false, counts: Counts::new() }
    }

    fn record(&mut self, record: impl FnOnce(&mut Counts)) {
        if self.has_started {
            record(&mut self.counts);
        }
    }
}

/// Starts counting, unless that was done.
pub(crate) fn start() {
    with(|counter| counter.has_started = true);
}

/// Counts a TDCALL other than VP.VMCALL.
pub(crate) fn tdcall(leaf: u64) {
    with(|counter| counter.record(|counts| counts.record_tdcall(leaf)));
}

/// Counts a VP.VMCALL of a standard function.
pub(crate) fn vmcall(function: u64) {
    with(|counter| {
        counter.record(|counts| {
            counts.record_tdcall(tdg::VP_VMCALL);
            counts.record_vmcall(0, function);
        });
    });
}

/// Counts a #VE.
pub(crate) fn ve(reason: u16) {
    with(|counter| counter.record(|counts| counts.record_ve(reason)));
}

/// What was counted so far.
#[must_use]
pub fn snapshot() -> Counts {
    let mut counts = Counts::new();
    with(|counter| counts = counter.counts);
    counts
}

/// Interrupts are off while the lock is held, so that the #VE handler finds it free. A
/// panic, which may have hit the holder, counts no more.
fn with(change: impl FnOnce(&mut Counter)) {
    if !panic::has_begun() {
        without_interrupts(|| change(&mut COUNTER.lock()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_counted_before_the_start() {
        let mut counter = Counter::new();
        counter.record(|counts| counts.record_ve(30));
        assert_eq!(counter.counts, Counts::new());
        counter.has_started = true;
        counter.record(|counts| counts.record_ve(30));
        assert_eq!(counter.counts.ve(30), 1);
    }
}
