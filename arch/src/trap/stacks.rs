//! The stacks that exceptions and interrupts start on: one that is left at once, and one for
//! each vector that stays, in the order of the TSS.

use core::fmt;
use core::mem::offset_of;

/// How many there are.
pub const STACKS: usize = 5;
/// What each is for.
const NAMES: [&str; STACKS] = ["interrupt", "#DF", "NMI", "#MC", "#PF"];

const PAGE: usize = 4096;
/// Bytes of the stack that holds seven words.
const SHARED_BYTES: usize = 2048;
/// Bytes of the others.
const OWN_BYTES: usize = 8192;

/// Room for the stacks.
pub trait Stacks {
    /// All zero.
    const EMPTY: Self;

    /// The end of each stack, in the order of the TSS.
    fn tops(&self) -> [*const u8; STACKS];
}

/// One behind the other: 34 KiB.
#[repr(C, align(16))]
pub struct Packed {
    shared: [u8; SHARED_BYTES],
    own: [[u8; OWN_BYTES]; STACKS - 1],
}

impl Stacks for Packed {
    #[expect(clippy::large_stack_arrays, reason = "evaluated into a static")]
    const EMPTY: Self = Self { shared: [0; SHARED_BYTES], own: [[0; OWN_BYTES]; STACKS - 1] };

    fn tops(&self) -> [*const u8; STACKS] {
        let [a, b, c, d] = self.own.each_ref().map(<[u8; OWN_BYTES]>::as_slice);
        [&self.shared, a, b, c, d].map(|stack| stack.as_ptr_range().end)
    }
}

/// Whole pages with a gap page below each: 56 KiB.
#[repr(C, align(4096))]
pub struct Guarded {
    shared: Above<PAGE>,
    own: [Above<OWN_BYTES>; STACKS - 1],
}

/// A stack above a gap.
#[repr(C, align(4096))]
struct Above<const BYTES: usize> {
    gap: [u8; PAGE],
    stack: [u8; BYTES],
}

// The gap is the page below the stack.
const _: () = assert!(offset_of!(Above<PAGE>, stack) == PAGE && size_of::<Guarded>() == 14 * PAGE);

impl<const BYTES: usize> Above<BYTES> {
    const EMPTY: Self = Self { gap: [0; PAGE], stack: [0; BYTES] };
}

impl Stacks for Guarded {
    #[expect(clippy::large_stack_arrays, reason = "evaluated into a static")]
    const EMPTY: Self = Self { shared: Above::EMPTY, own: [const { Above::EMPTY }; STACKS - 1] };

    fn tops(&self) -> [*const u8; STACKS] {
        let [a, b, c, d] = self.own.each_ref().map(|above| above.stack.as_slice());
        [&self.shared.stack, a, b, c, d].map(|stack| stack.as_ptr_range().end)
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packed").finish_non_exhaustive()
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").finish_non_exhaustive()
    }
}

/// A page that no stack may reach into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The page's address.
    pub page: u64,
    /// The stack above it.
    pub stack: &'static str,
}

impl Guarded {
    /// The gap below each stack.
    pub(super) fn gaps(&self) -> [Gap; STACKS] {
        let [a, b, c, d] = self.own.each_ref().map(|above| &above.gap);
        let mut names = NAMES.into_iter();
        [&self.shared.gap, a, b, c, d].map(|gap| Gap {
            page: gap.as_ptr().addr() as u64,
            stack: names.next().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;

    use super::*;

    #[test]
    fn stacks_are_aligned_and_apart() {
        let (packed, guarded) = (Box::new(Packed::EMPTY), Box::new(Guarded::EMPTY));
        for (tops, smallest) in [(packed.tops(), OWN_BYTES), (guarded.tops(), OWN_BYTES + PAGE)] {
            let tops = tops.map(<*const u8>::addr);
            assert!(tops.iter().all(|top| top.is_multiple_of(16)));
            assert!(tops.windows(2).all(|pair| pair[1] - pair[0] == smallest), "{tops:x?}");
        }
    }

    #[test]
    fn each_stack_has_a_gap_page_right_below() {
        let guarded = Box::new(Guarded::EMPTY);
        let sizes = [PAGE, OWN_BYTES, OWN_BYTES, OWN_BYTES, OWN_BYTES];
        for ((gap, top), size) in guarded.gaps().into_iter().zip(guarded.tops()).zip(sizes) {
            assert_eq!(gap.page as usize + PAGE + size, top.addr(), "{gap:x?}");
            assert!(gap.page.is_multiple_of(PAGE as u64));
        }
        assert_eq!(guarded.gaps().map(|gap| gap.stack), NAMES);
    }
}
