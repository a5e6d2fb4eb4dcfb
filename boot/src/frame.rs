//! Frames: pages of physical memory, given out once, from low to high.
//!
//! The first MiB is left alone, as the reference loader does: it stays free for a kernel
//! that wants it. [TDVF 8.4] What is given out lies where boot's own page tables map it (see
//! `entry.S`), and is accepted, at the latest now.

use abi::PAGE_SIZE;
use tdcall::accept::Accepted;

use crate::accept::Acceptor;
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
#[derive(Debug)]
pub struct Frames<'a> {
    ram: &'a mut RamList,
    acceptor: Acceptor<'a>,
    next: u64,
}

impl<'a> Frames<'a> {
    /// Frames of the free memory of `ram`. What is not accepted when it is needed, `acceptor`
    /// accepts then, in whole units: the start of a range before its end.
    #[must_use]
    pub const fn new(ram: &'a mut RamList, acceptor: Acceptor<'a>) -> Self {
        Self { ram, acceptor, next: FRAMES_START }
    }

    /// A frame, zero.
    ///
    /// # Errors
    /// There is none, or it cannot be accepted.
    pub fn one(&mut self) -> Result<Frame, MapError> {
        self.run(1)
    }

    /// `count` frames in a row, zero; the first of them.
    ///
    /// # Errors
    /// There are none, or they cannot be accepted.
    pub fn run(&mut self, count: u64) -> Result<Frame, MapError> {
        let bytes = count.checked_mul(PAGE_SIZE).ok_or(MapError::NoMemory)?;
        for range in self.ram.ranges_mut().iter_mut().filter(|range| range.state != State::Own) {
            let start = range.start.max(self.next);
            let end = range.end.min(FRAMES_END);
            if end.checked_sub(start).is_some_and(|room| room >= bytes) {
                self.acceptor.accept(range, start + bytes)?;
                self.next = start + bytes;
                return Ok(Frame(start));
            }
        }
        Err(MapError::NoMemory)
    }

    /// The memory that frames came from. Used are those below [`Self::next`].
    #[must_use]
    pub const fn ram(&self) -> &RamList {
        self.ram
    }

    /// What was accepted for frames.
    #[must_use]
    pub const fn accepted(&self) -> Accepted {
        self.acceptor.total()
    }

    /// Everything from [`FRAMES_START`] up to here is taken.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use abi::GpaWidth;
    use tdcall::accept::AcceptError;

    use super::*;
    use crate::testing::{Module, accepted, unaccepted};

    fn frames<'a>(ram: &'a mut RamList, module: &'a mut Module) -> Frames<'a> {
        Frames::new(ram, Acceptor::new(module, GpaWidth::Bits48))
    }

    #[test]
    fn frames_come_from_accepted_memory_above_the_first_mebibyte() {
        let mut ram = accepted(&[(0, 0x10_1000), (0x20_0000, 0x3000)]);
        let mut module = Module::default();
        let mut frames = frames(&mut ram, &mut module);
        assert_eq!(frames.next(), FRAMES_START);
        let given: std::vec::Vec<_> =
            core::iter::from_fn(|| frames.one().ok()).map(Frame::address).collect();
        assert_eq!(given, [0x10_0000, 0x20_0000, 0x20_1000, 0x20_2000]);
        assert_eq!(frames.next(), 0x20_3000);
        assert_eq!(frames.accepted(), Accepted::default());
    }

    #[test]
    fn a_run_lies_in_one_piece_and_leaves_no_frame_behind() {
        let mut ram = accepted(&[(0, 0x10_2000), (0x20_0000, 0x5000)]);
        let mut module = Module::default();
        let mut frames = frames(&mut ram, &mut module);
        assert_eq!(frames.run(3), Ok(Frame(0x20_0000)));
        assert_eq!(frames.one(), Ok(Frame(0x20_3000)));
        assert_eq!(frames.run(2), Err(MapError::NoMemory));
        assert_eq!(frames.run(u64::MAX / 2), Err(MapError::NoMemory));
    }

    #[test]
    fn our_own_memory_and_what_boot_cannot_reach_is_not_given_out() {
        let mut ram = accepted(&[(0, 0x10_0000), (1 << 32, 0x10_0000)]);
        let mut module = Module::default();
        assert_eq!(frames(&mut ram, &mut module).one(), Err(MapError::NoMemory));
    }

    #[test]
    fn memory_is_accepted_by_the_unit_when_its_first_frame_is_given_out() {
        let mut ram = unaccepted(&[(0x8_0000, 0x40_0000), (0x60_0000, 0x10_0000)]);
        let mut module = Module::default();
        let mut frames = frames(&mut ram, &mut module);
        assert_eq!(frames.accepted().bytes(), 0);
        assert_eq!(frames.one(), Ok(Frame(FRAMES_START)));
        assert_eq!(frames.accepted(), Accepted { large: 0, small: 0x180 });
        assert_eq!(frames.run(0x100), Ok(Frame(FRAMES_START + PAGE_SIZE)));
        assert_eq!(frames.accepted(), Accepted { large: 1, small: 0x180 });
        // What does not fit in the first range leaves the rest of it unaccepted.
        assert_eq!(frames.run(0x100), Ok(Frame(0x20_1000)));
        assert_eq!(frames.run(0x200), Err(MapError::NoMemory));
        assert_eq!(frames.ram().unaccepted_bytes(), 0x8_0000 + 0x10_0000);
        assert_eq!(frames.run(0xF0), Ok(Frame(0x30_1000)));
        assert_eq!(frames.run(0x100), Ok(Frame(0x60_0000)));
        assert_eq!(frames.ram().unaccepted_bytes(), 0x8_0000);
    }

    #[test]
    fn a_frame_that_cannot_be_accepted_is_not_given_out() {
        let mut ram = unaccepted(&[(0, 0x20_0000)]);
        let mut module = Module { accepted: [0x100].into() };
        let error = frames(&mut ram, &mut module).one();
        assert!(matches!(error, Err(MapError::Accept(AcceptError::AlreadyAccepted { .. }))));
    }
}
