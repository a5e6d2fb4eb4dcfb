//! Page tables, built in memory that is not yet an address space. [APM2 5.3]
//!
//! Four levels, leaves of 4 KiB and 2 MiB. Tables are writable and executable; what a page
//! may be is said by its leaf alone. A page is mapped once: a second mapping is an error,
//! so that no two parts of the kernel share one.

use core::fmt;

use abi::{PAGE_SIZE, PageLevel};
use tdcall::accept::AcceptError;
use x86_64::VirtAddr;
use x86_64::structures::paging::PageTableFlags as Flags;

use crate::frame::{Frame, FrameMemory, Frames};

/// Bits of an entry that hold an address.
const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;
const TABLE: Flags = Flags::PRESENT.union(Flags::WRITABLE);

/// Read-only data.
pub const READ: Flags = Flags::PRESENT.union(Flags::NO_EXECUTE);
/// Data.
pub const WRITE: Flags = READ.union(Flags::WRITABLE);
/// Code.
pub const EXECUTE: Flags = Flags::PRESENT;

/// A range of virtual addresses, canonical, not empty, and not across the hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtRange {
    start: VirtAddr,
    len: u64,
}

impl VirtRange {
    /// `len` bytes from `start` on.
    ///
    /// # Errors
    /// There is no such range.
    pub fn try_new(start: u64, len: u64) -> Result<Self, MapError> {
        let bad = MapError::NotCanonical { start, len };
        let first = VirtAddr::try_new(start).map_err(|_| bad)?;
        let last = len.checked_sub(1).and_then(|last| start.checked_add(last)).ok_or(bad)?;
        let last = VirtAddr::try_new(last).map_err(|_| bad)?;
        let same_half = first.as_u64() >> 63 == last.as_u64() >> 63;
        if same_half { Ok(Self { start: first, len }) } else { Err(bad) }
    }

    /// First byte.
    #[must_use]
    pub const fn start(self) -> VirtAddr {
        self.start
    }

    /// Last byte.
    #[must_use]
    pub const fn last(self) -> u64 {
        self.start.as_u64() + (self.len - 1)
    }

    /// Start addresses of the pages that the range touches.
    pub fn pages(self) -> impl Iterator<Item = VirtAddr> + Clone {
        let first = self.start.as_u64() / PAGE_SIZE;
        let last = self.last() / PAGE_SIZE;
        // Every page has a byte of the range, so its start is canonical like that byte.
        (first..=last).map(|page| VirtAddr::new_truncate(page * PAGE_SIZE))
    }
}

/// An address space under construction.
#[derive(Debug)]
pub struct AddressSpace<'a, M> {
    memory: &'a mut M,
    frames: Frames<'a>,
    root: Frame,
}

impl<'a, M: FrameMemory> AddressSpace<'a, M> {
    /// An empty one.
    ///
    /// # Errors
    /// No memory.
    pub fn new(memory: &'a mut M, mut frames: Frames<'a>) -> Result<Self, MapError> {
        let root = frames.one()?;
        Ok(Self { memory, frames, root })
    }

    /// The frame of the top table: what CR3 takes.
    #[must_use]
    pub const fn root(&self) -> Frame {
        self.root
    }

    /// Where its frames come from.
    pub const fn frames(&mut self) -> &mut Frames<'a> {
        &mut self.frames
    }

    /// Its memory, its frames, and the frame of its top table: it is done.
    #[must_use]
    pub fn into_parts(self) -> (&'a mut M, Frames<'a>, Frame) {
        (self.memory, self.frames, self.root)
    }

    /// Its memory.
    pub const fn memory(&mut self) -> &mut M {
        self.memory
    }

    /// Maps one page of `level` (4 KiB or 2 MiB) at `page` to the memory at `physical`.
    ///
    /// # Errors
    /// The page is mapped already, or there is no memory for tables.
    pub fn map(
        &mut self,
        page: VirtAddr,
        physical: u64,
        level: PageLevel,
        flags: Flags,
    ) -> Result<(), MapError> {
        let aligned = (page.as_u64() | physical).is_multiple_of(level.bytes());
        if !aligned || level > PageLevel::Size2M || physical & !ADDRESS != 0 {
            return Err(MapError::Unaligned { page: page.as_u64(), physical });
        }
        let huge = if level == PageLevel::Size4K { Flags::empty() } else { Flags::HUGE_PAGE };
        let mut table = self.root;
        for depth in (level as u32 + 1..4).rev() {
            table = self.next_table(table, index(page, depth), page)?;
        }
        let entry = &mut self.memory.words(table, 1)[index(page, level as u32)];
        if *entry != 0 {
            return Err(MapError::Taken(page.as_u64()));
        }
        *entry = physical | (flags | huge).bits();
        Ok(())
    }

    /// Maps the pages of 2 MiB of `range`, as far as they are whole, to the memory from
    /// `physical` on. A table at a time: this is what a large trust domain costs.
    ///
    /// # Errors
    /// As [`Self::map`].
    pub fn map_large(
        &mut self,
        range: VirtRange,
        physical: u64,
        flags: Flags,
    ) -> Result<(), MapError> {
        const LARGE: u64 = PageLevel::Size2M.bytes();
        let (mut page, mut physical, mut left) = (range.start, physical, range.len / LARGE);
        if !(page.as_u64() | physical).is_multiple_of(LARGE) {
            return Err(MapError::Unaligned { page: page.as_u64(), physical });
        }
        while left != 0 {
            let upper = self.next_table(self.root, index(page, 3), page)?;
            let frames_before = self.frames.next();
            let table = self.next_table(upper, index(page, 2), page)?;
            let is_new = self.frames.next() != frames_before;
            let entries = &mut self.memory.words(table, 1)[index(page, 1)..];
            let count = left.min(entries.len() as u64);
            let entries = &mut entries[..count as usize];
            if !is_new && let Some(at) = entries.iter().position(|entry| *entry != 0) {
                return Err(MapError::Taken(page.as_u64() + at as u64 * LARGE));
            }
            fill(entries, physical | (flags | Flags::HUGE_PAGE).bits());
            left -= count;
            physical += count * LARGE;
            page = VirtAddr::new_truncate(page.as_u64().wrapping_add(count * LARGE));
        }
        Ok(())
    }

    /// Maps a fresh zero page at `page`.
    ///
    /// # Errors
    /// As [`Self::map`].
    pub fn map_fresh(&mut self, page: VirtAddr, flags: Flags) -> Result<Frame, MapError> {
        let frame = self.frames.one()?;
        self.map(page, frame.address(), PageLevel::Size4K, flags)?;
        Ok(frame)
    }

    /// The 4 KiB page at `page`: its frame and flags.
    pub fn lookup(&mut self, page: VirtAddr) -> Option<(Frame, Flags)> {
        let entry = *self.leaf(page)?;
        Some((target(entry), Flags::from_bits_truncate(entry)))
    }

    /// Gives the 4 KiB page at `page` another frame and other flags.
    ///
    /// # Errors
    /// It is not mapped.
    pub fn remap(&mut self, page: VirtAddr, frame: Frame, flags: Flags) -> Result<(), MapError> {
        let entry = self.leaf(page).ok_or(MapError::NotMapped(page.as_u64()))?;
        *entry = frame.address() | flags.bits();
        Ok(())
    }

    /// Lets entry `index` of the top table point to the top table.
    ///
    /// # Errors
    /// The entry is in use.
    pub fn map_recursively(&mut self, index: u16) -> Result<(), MapError> {
        let root = self.root;
        let slot = self.memory.words(root, 1).get_mut(usize::from(index));
        match slot {
            Some(entry) if *entry == 0 => {
                *entry = root.address() | WRITE.bits();
                Ok(())
            }
            _ => Err(MapError::Taken(VirtAddr::new_truncate(u64::from(index) << 39).as_u64())),
        }
    }

    /// The table below entry `index` of `table`, made if there is none.
    fn next_table(
        &mut self,
        table: Frame,
        index: usize,
        page: VirtAddr,
    ) -> Result<Frame, MapError> {
        let entry = self.memory.words(table, 1)[index];
        if entry & Flags::HUGE_PAGE.bits() != 0 || entry == self.root.address() | WRITE.bits() {
            return Err(MapError::Taken(page.as_u64()));
        }
        if entry != 0 {
            return Ok(target(entry));
        }
        let new = self.frames.one()?;
        self.memory.words(table, 1)[index] = new.address() | TABLE.bits();
        Ok(new)
    }

    /// The leaf entry of a mapped 4 KiB page.
    fn leaf(&mut self, page: VirtAddr) -> Option<&mut u64> {
        let mut table = self.root;
        for depth in (1..4).rev() {
            let entry = self.memory.words(table, 1)[index(page, depth)];
            if entry == 0 || entry & Flags::HUGE_PAGE.bits() != 0 {
                return None;
            }
            table = target(entry);
        }
        Some(&mut self.memory.words(table, 1)[index(page, 0)]).filter(|entry| **entry != 0)
    }
}

/// Fills part of a table with leaves of 2 MiB in a row, the first of them `leaf`.
fn fill(entries: &mut [u64], leaf: u64) {
    const LARGE: u64 = PageLevel::Size2M.bytes();
    let mut next = leaf;
    // Addresses are below 2^52 and flags are not touched, so that nothing wraps: as the sums
    // are not checked, an entry costs two instructions.
    let mut take = || {
        let leaf = next;
        next = next.wrapping_add(LARGE);
        leaf
    };
    let (eights, rest) = entries.as_chunks_mut::<8>();
    for eight in eights {
        *eight = [take(), take(), take(), take(), take(), take(), take(), take()];
    }
    rest.fill_with(take);
}

/// The frame that an entry points to.
const fn target(entry: u64) -> Frame {
    Frame::containing(entry & ADDRESS)
}

/// The index of `page` in its table `depth` levels above the smallest page.
const fn index(page: VirtAddr, depth: u32) -> usize {
    (page.as_u64() >> (12 + 9 * depth) & 511) as usize
}

/// Why something cannot be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the Display text of each variant is its documentation")]
pub enum MapError {
    NoMemory,
    NoAddress { len: u64 },
    NotCanonical { start: u64, len: u64 },
    Unaligned { page: u64, physical: u64 },
    Taken(u64),
    NotMapped(u64),
    Accept(AcceptError),
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoMemory => f.write_str("not enough memory below 3 GiB"),
            Self::NoAddress { len } => write!(f, "no free addresses for {len:#x} bytes"),
            Self::NotCanonical { start, len } => {
                write!(f, "{len:#x} bytes at {start:#x} are no range of addresses")
            }
            Self::Unaligned { page, physical } => {
                write!(f, "{page:#x} cannot be mapped to {physical:#x}: not aligned")
            }
            Self::Taken(page) => write!(f, "{page:#x} is wanted twice"),
            Self::NotMapped(page) => write!(f, "{page:#x} is not mapped"),
            Self::Accept(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for MapError {}

impl From<AcceptError> for MapError {
    fn from(error: AcceptError) -> Self {
        Self::Accept(error)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Arena, View, accepted, frames};

    const PAGES: [u64; 12] = [
        0,
        0x1000,
        0x1F_F000,
        0x20_0000,
        0x3FFF_F000,
        0x4000_0000,
        0x7F_FFFF_F000,
        0x80_0000_0000,
        0x7FFF_FFFF_F000,
        0xFFFF_8000_0000_0000,
        0xFFFF_FFFF_8000_0000,
        0xFFFF_FFFF_FFFF_F000,
    ];

    #[test]
    fn ranges_that_wrap_or_cross_the_hole_are_none() {
        for (start, len) in [
            (0, 0),
            (0x7FFF_FFFF_F000, 0x1001),
            (0x7FFF_FFFF_F000, 0xFFFF_0000_0000_2000),
            (0x8000_0000_0000, 1),
            (u64::MAX, 2),
            (1 << 63, u64::MAX),
        ] {
            let error = MapError::NotCanonical { start, len };
            assert_eq!(VirtRange::try_new(start, len), Err(error));
        }
        let top = VirtRange::try_new(0xFFFF_FFFF_FFFF_EFFF, 0x1001).unwrap();
        assert_eq!(top.last(), u64::MAX);
        let pages: Vec<_> = top.pages().map(VirtAddr::as_u64).collect();
        assert_eq!(pages, [0xFFFF_FFFF_FFFF_E000, 0xFFFF_FFFF_FFFF_F000]);
    }

    #[test]
    fn a_table_that_points_to_itself_is_no_place_to_map() {
        let mut ram = accepted(&[(0x10_0000, 0x10_0000)]);
        let mut arena = Arena::new(0x10_0000);
        let mut space = AddressSpace::new(&mut arena, frames(&mut ram)).unwrap();
        assert_eq!(space.map_recursively(3), Ok(()));
        let inside = VirtAddr::new(3 << 39);
        assert_eq!(space.map_recursively(3), Err(MapError::Taken(3 << 39)));
        assert_eq!(space.map_fresh(inside, WRITE), Err(MapError::Taken(3 << 39)));
        assert_eq!(space.map_recursively(512), Err(MapError::Taken(0)));
    }

    #[test]
    fn a_page_that_is_not_aligned_is_refused() {
        let mut ram = accepted(&[(0x10_0000, 0x10_0000)]);
        let mut arena = Arena::new(0x10_0000);
        let mut space = AddressSpace::new(&mut arena, frames(&mut ram)).unwrap();
        for (page, physical, level) in [
            (0x1000, 0x1001, PageLevel::Size4K),
            (0x1000, 0x20_0000, PageLevel::Size2M),
            (0x20_0000, 0x1000, PageLevel::Size2M),
            (0x4000_0000, 0x4000_0000, PageLevel::Size1G),
            (0, 1 << 52, PageLevel::Size4K),
        ] {
            let error = MapError::Unaligned { page, physical };
            assert_eq!(space.map(VirtAddr::new(page), physical, level, READ), Err(error));
        }
    }

    #[test]
    fn a_run_of_large_pages_is_mapped_unless_a_page_is_taken() {
        const LARGE: u64 = 0x20_0000;
        let run = |start, pages| VirtRange::try_new(start, pages * LARGE).unwrap();
        let mut ram = accepted(&[(0x10_0000, 0x10_0000)]);
        let mut arena = Arena::new(0x10_0000);
        let mut space = AddressSpace::new(&mut arena, frames(&mut ram)).unwrap();
        space.map_fresh(VirtAddr::new(0x8000_0000 + 700 * LARGE), READ).unwrap();
        let taken = MapError::Taken(0x8000_0000 + 700 * LARGE);
        assert_eq!(space.map_large(run(0x8000_0000, 701), 0, WRITE), Err(taken));
        let again = MapError::Taken(0x8000_0000);
        assert_eq!(space.map_large(run(0x8000_0000, 1), 0, WRITE), Err(again));
        let page = 0x1000;
        let error = MapError::Unaligned { page, physical: 0 };
        assert_eq!(space.map_large(run(page, 1), 0, WRITE), Err(error));
        // Past the end of a table, and not to its end.
        assert_eq!(space.map_large(run(0x9_3FE0_0000, 515), 5 * LARGE, WRITE), Ok(()));
        let root = space.root();
        let mut view = View { arena, root, file: &[], file_frame: Frame::containing(1 << 50) };
        assert_eq!(view.translate(0x9_3FDF_FFFF), None);
        for page in 0..515 {
            let (physical, flags) = view.translate(0x9_3FE0_0000 + page * LARGE + 7).unwrap();
            assert_eq!(physical, (5 + page) * LARGE + 7);
            assert_eq!(flags, WRITE | Flags::HUGE_PAGE);
        }
        assert_eq!(view.translate(0x9_3FE0_0000 + 515 * LARGE), None);
    }

    proptest! {
        #[test]
        fn what_is_mapped_is_what_the_cpu_finds(
            steps in prop::collection::vec(
                (0..PAGES.len(), 0_u64..1 << 30, any::<bool>(), 0_usize..3), 1..40),
        ) {
            let mut ram = accepted(&[(0x10_0000, 0x10_0000)]);
            let mut arena = Arena::new(0x10_0000);
            let mut space = AddressSpace::new(&mut arena, frames(&mut ram)).unwrap();
            let mut model: BTreeMap<u64, (u64, PageLevel, Flags)> = BTreeMap::new();
            for (page, frame, is_large, kind) in steps {
                let level = if is_large { PageLevel::Size2M } else { PageLevel::Size4K };
                let page = PAGES[page] & !(level.bytes() - 1);
                let frame = (frame << 12) & !(level.bytes() - 1);
                let flags = [READ, WRITE, EXECUTE][kind];
                let is_taken = model.iter().any(|(other, (_, size, _))| {
                    let (last, other_last) = (page + (level.bytes() - 1), other + (size.bytes() - 1));
                    page <= other_last && *other <= last
                });
                let mapped = space.map(VirtAddr::new(page), frame, level, flags);
                if is_taken {
                    prop_assert_eq!(mapped, Err(MapError::Taken(page)));
                } else {
                    prop_assert_eq!(mapped, Ok(()));
                    model.insert(page, (frame, level, flags));
                }
            }
            let root = space.root();
            let mut view = View { arena, root, file: &[], file_frame: Frame::containing(1 << 50) };
            for (page, (frame, level, flags)) in model {
                let last = level.bytes() - 1;
                let (physical, found) = view.translate(page + last).unwrap();
                prop_assert_eq!(physical, frame + last);
                prop_assert_eq!(found - Flags::HUGE_PAGE, flags);
            }
        }
    }
}
