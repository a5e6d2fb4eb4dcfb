//! A static that is borrowed mutably once.
#![expect(unsafe_code, reason = "hands out the one mutable borrow of a static")]

use core::cell::UnsafeCell;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

/// A value in a static, given away once, mutably, for the rest of the run.
///
/// The replacement for `static mut`: whoever sets a thing up at boot takes it; a
/// second taker gets `None`.
pub struct BootCell<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the flag lets exactly one caller reach the value, on whatever CPU it runs,
// and `T: Send` lets that CPU have it.
unsafe impl<T: Send> Sync for BootCell<T> {}

impl<T> BootCell<T> {
    /// Wraps `value`.
    pub const fn new(value: T) -> Self {
        Self { taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// The value, the first time; `None` ever after.
    #[expect(clippy::mut_from_ref, reason = "the flag makes the borrow unique")]
    pub fn take(&'static self) -> Option<&'static mut T> {
        if self.taken.swap(true, Ordering::AcqRel) {
            return None;
        }
        // SAFETY: the swap above returned false to this caller alone, so no other
        // reference to the value exists or will exist; the cell is static.
        Some(unsafe { &mut *self.value.get() })
    }
}

impl<T> fmt::Debug for BootCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BootCell").field("taken", &self.taken).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_taken_once() {
        static CELL: BootCell<u32> = BootCell::new(7);
        let first = CELL.take();
        assert_eq!(first.as_deref(), Some(&7));
        assert!(CELL.take().is_none());
    }
}
