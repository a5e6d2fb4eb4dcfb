//! Addresses for the memory of functions.

use core::ops::Range;

use super::WINDOW;

/// What is left of the window.
#[derive(Clone, Debug)]
pub struct Window(Range<u64>);

impl Window {
    /// All of [`WINDOW`].
    #[must_use]
    pub const fn new() -> Self {
        Self(WINDOW)
    }

    /// `size` bytes at a multiple of it; at least a page apart from all others, so that no
    /// two functions share one. None if there is no room, or `size` is no power of two.
    pub fn take(&mut self, size: u64) -> Option<u64> {
        if !size.is_power_of_two() {
            return None;
        }
        let unit = size.max(abi::PAGE_SIZE);
        let start = self.0.start.checked_next_multiple_of(unit)?;
        let end = start.checked_add(unit).filter(|end| *end <= self.0.end)?;
        self.0.start = end;
        Some(start)
    }
}

impl Default for Window {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn what_does_not_fit_gets_nothing() {
        for size in [0, 3, 0x4000_0000, 1 << 63, u64::MAX] {
            assert_eq!(Window::new().take(size), None, "{size:#x}");
        }
        let mut window = Window::new();
        assert_eq!(window.take(0x2000_0000), Some(0xC000_0000));
        assert_eq!(window.take(16), None);
    }

    proptest! {
        #[test]
        fn pieces_are_aligned_disjoint_and_in_the_window(
            bits in prop::collection::vec(0..64_u32, 0..40)
        ) {
            let mut window = Window::new();
            let mut given: Vec<Range<u64>> = Vec::new();
            for bits in bits {
                let size = 1_u64 << bits;
                let Some(start) = window.take(size) else { continue };
                prop_assert!(start.is_multiple_of(size) && start.is_multiple_of(4096));
                prop_assert!(WINDOW.start <= start && start + size <= WINDOW.end);
                prop_assert!(given.iter().all(|other| other.end <= start));
                given.push(start..start + size.max(4096));
            }
        }
    }
}
