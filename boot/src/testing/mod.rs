//! What the tests of several modules need: memory lists, a small physical memory, a kernel.

mod kernel;
mod oracle;

use std::boxed::Box;
use std::collections::BTreeSet;
use std::vec::Vec;

use abi::{GpaWidth, PAGE_SIZE, PageLevel, PrivateGpa, Status};
use image::hob::{Limit, Memory, ResourceRange, parse};
use image::layout::{IMAGE_END, TD_HOB, TEMP_MEM};
use image::ram::RamRange;
use tdcall::accept::Accept;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::accept::Acceptor;
use crate::frame::{FRAMES_START, Frame, FrameMemory, Frames};
use crate::ram::{Own, RamError, RamList, State};

pub(crate) use kernel::{Load, TestKernel};
pub(crate) use oracle::View;

/// An image of 2 MiB.
pub(crate) const OWN: Own = Own {
    image: RamRange { start: IMAGE_END - 0x20_0000, len: 0x20_0000 },
    temp_mem: TEMP_MEM,
    td_hob: TD_HOB,
};

/// The bytes of a TD HOB with these ranges, whatever they are. [TDVF 2.1]
pub(crate) fn td_hob(ranges: &[ResourceRange]) -> Vec<u8> {
    let header = |kind: u16, length: u16| {
        [kind.to_le_bytes(), length.to_le_bytes(), [0; 2], [0; 2]].concat()
    };
    let mut list = header(1, 56);
    list.resize(56, 0);
    for range in ranges {
        let kind: u32 = if range.kind == Memory::Accepted { 0 } else { 7 };
        list.extend(header(3, 48));
        list.extend([0; 16]);
        list.extend([kind, 7].iter().flat_map(|word| word.to_le_bytes()));
        list.extend([range.start, range.len].iter().flat_map(|word| word.to_le_bytes()));
    }
    list.extend(header(0xFFFF, 8));
    list
}

/// A list filled from a TD HOB with these ranges; `None` if already the HOB is refused.
pub(crate) fn fill(ranges: &[ResourceRange]) -> Option<Result<RamList, RamError>> {
    let area = td_hob(ranges);
    let list = parse(&area, Limit::Refuse(1 << 47)).ok()?;
    let mut ram = RamList::new();
    Some(ram.fill(&list, &OWN).map(|()| ram))
}

/// A list filled from a TD HOB with these ranges.
pub(crate) fn filled(ranges: &[ResourceRange]) -> Result<RamList, RamError> {
    fill(ranges).expect("the HOB is in order")
}

/// A list of unaccepted memory.
pub(crate) fn unaccepted(ranges: &[(u64, u64)]) -> RamList {
    let ranges: Vec<_> = ranges
        .iter()
        .map(|&(start, len)| ResourceRange { start, len, kind: Memory::Unaccepted })
        .collect();
    filled(&ranges).unwrap()
}

/// A list of accepted memory.
pub(crate) fn accepted(ranges: &[(u64, u64)]) -> RamList {
    let mut ram = unaccepted(ranges);
    for range in ram.ranges_mut() {
        if let State::Free { accepted_end } = &mut range.state {
            *accepted_end = range.end;
        }
    }
    ram
}

/// A TDX module that accepts a page once.
#[derive(Default)]
pub(crate) struct Module {
    /// The numbers of the pages that are accepted.
    pub(crate) accepted: BTreeSet<u64>,
}

impl Accept for Module {
    fn mem_page_accept(&mut self, gpa: PrivateGpa, level: PageLevel) -> Status {
        let mut pages = gpa.bits() >> 12..(gpa.bits() + level.bytes()) >> 12;
        if pages.all(|page| self.accepted.insert(page)) {
            Status::SUCCESS
        } else {
            Status::PAGE_ALREADY_ACCEPTED
        }
    }
}

/// Frames of a list of accepted memory: nobody is asked for more.
pub(crate) fn frames(ram: &mut RamList) -> Frames<'_> {
    struct Nobody;
    impl Accept for Nobody {
        fn mem_page_accept(&mut self, gpa: PrivateGpa, _: PageLevel) -> Status {
            panic!("{gpa:?} should be accepted")
        }
    }
    // Without a field, the box is no memory.
    Frames::new(ram, Acceptor::new(Box::leak(Box::new(Nobody)), GpaWidth::Bits48))
}

/// A page of physical memory.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(4096))]
struct Page([u64; 512]);

/// Physical memory from [`FRAMES_START`] on.
pub(crate) struct Arena(Vec<Page>);

impl Arena {
    /// `bytes` of zeros.
    pub(crate) fn new(bytes: u64) -> Self {
        Self(std::vec![Page([0; 512]); (bytes / PAGE_SIZE) as usize])
    }
}

impl FrameMemory for Arena {
    fn words(&mut self, first: Frame, count: usize) -> &mut [u64] {
        let at = ((first.address() - FRAMES_START) / PAGE_SIZE) as usize;
        let pages = self.0[at..at + count].as_mut_bytes();
        <[u64]>::mut_from_bytes(pages).expect("pages are whole words")
    }
}
