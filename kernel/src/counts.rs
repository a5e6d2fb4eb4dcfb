//! The kernel's own count of #VEs and TDCALLs, to be compared with the module's.
//!
//! The module notes its counters at every TDG.VP.INFO. So that both sides count the same
//! stretch of the run, this count starts when the first VP.INFO returns and its printed
//! value is taken right after the last one, which is included.

use core::array;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use abi::Counts;
use abi::counts::Slot;
use abi::leaf::tdg;
use spin::Once;

static COUNTER: Counter = Counter::new();

/// Counters that a #VE inside another's handler finds usable: there is no lock.
#[derive(Debug)]
struct Counter {
    /// What was counted before the start.
    before: Once<Counts>,
    slots: [AtomicU64; Slot::COUNT],
}

impl Counter {
    const fn new() -> Self {
        Self { before: Once::new(), slots: [const { AtomicU64::new(0) }; Slot::COUNT] }
    }

    fn record(&self, slot: Slot) {
        self.slots[slot.index()].fetch_add(1, Relaxed);
    }

    fn start(&self) {
        self.before.call_once(|| self.all());
    }

    fn snapshot(&self) -> Counts {
        self.before.get().map_or(Counts::new(), |before| self.all().since(before))
    }

    fn all(&self) -> Counts {
        Counts::from_slots(array::from_fn(|slot| self.slots[slot].load(Relaxed)))
    }
}

/// Starts counting, unless that was done.
pub(crate) fn start() {
    COUNTER.start();
}

/// Counts a TDCALL other than VP.VMCALL.
#[inline]
pub(crate) fn tdcall(leaf: u64) {
    COUNTER.record(Slot::tdcall(leaf));
}

/// Counts a VP.VMCALL of a standard function.
#[inline]
pub(crate) fn vmcall(function: u64) {
    COUNTER.record(Slot::tdcall(tdg::VP_VMCALL));
    COUNTER.record(Slot::vmcall(0, function));
}

/// Counts a #VE.
#[inline]
pub(crate) fn ve(reason: u16) {
    COUNTER.record(Slot::ve(reason));
}

/// What was counted so far.
#[must_use]
pub fn snapshot() -> Counts {
    COUNTER.snapshot()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_counted_before_the_start() {
        let counter = Counter::new();
        counter.record(Slot::ve(30));
        assert_eq!(counter.snapshot(), Counts::new());
        counter.start();
        assert_eq!(counter.snapshot(), Counts::new());
        counter.record(Slot::ve(30));
        counter.start();
        assert_eq!(counter.snapshot().ve(30), 1);
    }
}
