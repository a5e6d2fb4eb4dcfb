//! Frames: pages of physical memory, given out once, from low to high.
//!
//! The first MiB is left alone, as the reference loader does: it stays free for a kernel
//! that wants it. [TDVF 8.4] What is given out comes from memory that boot accepted, and
//! lies where boot's own page tables map it (see `entry.S`).

use abi::PAGE_SIZE;

use crate::paging::MapError;
use crate::ram::{RamList, State};

/// Frames are given out from here.
pub const FRAMES_START: u64 = 0x10_0000;
/// Frames are given out below this address: from there on, boot's page tables have more
/// than identity mappings.
pub const FRAMES_END: u64 = 3 << 30;

/// The address of a page of physical memory: a multiple of 4 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frame(u64);

impl Frame {
    /// The frame that `address` lies in.
    #[must_use]
    pub const fn containing(address: u64) -> Self {
        Self(address & !(PAGE_SIZE - 1))
    }

    /// The address of the first byte.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.0
    }
}

/// Physical memory, as far as [`Frames`] gave it out.
pub trait FrameMemory {
    /// The words of `count` frames from `first` on. All are accepted RAM, zero when first
    /// asked for, and belong to nobody else.
    fn words(&mut self, first: Frame, count: usize) -> &mut [u64];
}

/// Gives out frames.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    ram: &'a RamList,
    next: u64,
}

impl<'a> Frames<'a> {
    /// Frames of the accepted memory of `ram`.
    #[must_use]
    pub const fn new(ram: &'a RamList) -> Self {
        Self { ram, next: FRAMES_START }
    }

    /// A frame, zero.
    ///
    /// # Errors
    /// There is none.
    pub fn one(&mut self) -> Result<Frame, MapError> {
        self.run(1)
    }

    /// `count` frames in a row, zero; the first of them.
    ///
    /// # Errors
    /// There are none.
    pub fn run(&mut self, count: u64) -> Result<Frame, MapError> {
        let bytes = count.checked_mul(PAGE_SIZE).ok_or(MapError::NoMemory)?;
        for range in self.ram.ranges().iter().filter(|range| range.state == State::Accepted) {
            let start = range.start.max(self.next);
            let end = range.end.min(FRAMES_END);
            if end.checked_sub(start).is_some_and(|room| room >= bytes) {
                self.next = start + bytes;
                return Ok(Frame(start));
            }
        }
        Err(MapError::NoMemory)
    }

    /// The memory that frames came from. Used are those below [`Self::next`].
    #[must_use]
    pub const fn ram(&self) -> &'a RamList {
        self.ram
    }

    /// Everything from [`FRAMES_START`] up to here is taken.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::accepted;

    #[test]
    fn frames_come_from_accepted_memory_above_the_first_mebibyte() {
        let ram = accepted(&[(0, 0x10_1000), (0x20_0000, 0x3000)]);
        let mut frames = Frames::new(&ram);
        assert_eq!(frames.next(), FRAMES_START);
        let given: std::vec::Vec<_> =
            core::iter::from_fn(|| frames.one().ok()).map(Frame::address).collect();
        assert_eq!(given, [0x10_0000, 0x20_0000, 0x20_1000, 0x20_2000]);
        assert_eq!(frames.next(), 0x20_3000);
    }

    #[test]
    fn a_run_lies_in_one_piece_and_leaves_no_frame_behind() {
        let ram = accepted(&[(0, 0x10_2000), (0x20_0000, 0x5000)]);
        let mut frames = Frames::new(&ram);
        assert_eq!(frames.run(3), Ok(Frame(0x20_0000)));
        assert_eq!(frames.one(), Ok(Frame(0x20_3000)));
        assert_eq!(frames.run(2), Err(MapError::NoMemory));
        assert_eq!(frames.run(u64::MAX / 2), Err(MapError::NoMemory));
    }

    #[test]
    fn our_own_memory_and_what_boot_cannot_reach_is_not_given_out() {
        let ram = accepted(&[(3 << 30, 0x10_0000), (1 << 32, 0x10_0000)]);
        assert_eq!(Frames::new(&ram).one(), Err(MapError::NoMemory));
    }
}
