//! Writes the TD HOB as QEMU does [TDVF 2.1].

use core::error::Error;
use core::fmt;

use zerocopy::IntoBytes;

use super::{Handoff, Header, Memory, Resource, ResourceRange, item, length, resource};
use crate::Metadata;
use crate::metadata::MAX_SECTIONS;
use crate::ram::RamRange;

/// The version of the hand-off item that QEMU writes.
const HANDOFF_VERSION: u32 = 9;

/// Writes the list for `ram`, of which `added` was added at build, to `out`: the whole TD_HOB
/// area, which lies at `gpa`. What the list does not fill becomes zero. Returns the length of
/// the list, its end item included.
///
/// `ram` must ascend; each range of `added` must lie in one range of it, and they must not
/// overlap. On an error `out` is untouched.
pub fn build(
    ram: &[RamRange],
    added: &[RamRange],
    gpa: u64,
    out: &mut [u8],
) -> Result<usize, BuildError> {
    check_ram(ram)?;
    check_added(ram, added)?;
    let ranges = Split { ram, added, done: 0 };
    let before_end = size_of::<Handoff>() + ranges.clone().count() * size_of::<Resource>();
    let needed = before_end + size_of::<Header>();
    let capacity = out.len();
    let end_of_list = gpa.checked_add(needed as u64).ok_or(BuildError::Misplaced { gpa })?;
    let (list, unused) =
        out.split_at_mut_checked(needed).ok_or(BuildError::Overrun { needed, capacity })?;

    unused.fill(0);
    let (first, items) = list.split_at_mut(size_of::<Handoff>());
    first.copy_from_slice(handoff(end_of_list).as_bytes());
    let (items, end) = items.split_at_mut(before_end - size_of::<Handoff>());
    for (item, range) in items.chunks_exact_mut(size_of::<Resource>()).zip(ranges) {
        item.copy_from_slice(resource_item(range).as_bytes());
    }
    end.copy_from_slice(header(item::END, length::END).as_bytes());
    Ok(needed)
}

/// Writes the list for the image with this `metadata` into its TD_HOB area.
pub fn build_for(
    metadata: &Metadata<'_>,
    ram: &[RamRange],
    out: &mut [u8],
) -> Result<usize, BuildError> {
    let mut added = [RamRange::default(); MAX_SECTIONS];
    let count =
        added.iter_mut().zip(metadata.added_ram()).map(|(slot, range)| *slot = range).count();
    let td_hob = metadata.td_hob().memory();
    // The area is as large as the section says, even if the buffer is larger.
    let area = usize::try_from(td_hob.len).unwrap_or(usize::MAX).min(out.len());
    build(ram, &added[..count], td_hob.start, &mut out[..area])
}

fn check_ram(ram: &[RamRange]) -> Result<(), BuildError> {
    let mut done = 0;
    for (index, range) in ram.iter().enumerate() {
        match range.end() {
            Some(end) if range.start >= done && range.len != 0 => done = end,
            _ => return Err(BuildError::BadRam { index, range: *range }),
        }
    }
    Ok(())
}

fn check_added(ram: &[RamRange], added: &[RamRange]) -> Result<(), BuildError> {
    for (index, &range) in added.iter().enumerate() {
        if range.len == 0 || !ram.iter().any(|r| r.contains(range)) {
            return Err(BuildError::NotInRam { range });
        }
        if added[..index].iter().any(|other| other.overlaps(range)) {
            return Err(BuildError::AddedTwice { range });
        }
    }
    Ok(())
}

/// RAM cut at the edges of what was added, ascending. Added neighbours are not joined.
///
/// Both lists are checked: sums of start and length do not overflow.
#[derive(Clone)]
struct Split<'a> {
    ram: &'a [RamRange],
    added: &'a [RamRange],
    /// Everything below is done.
    done: u64,
}

impl Iterator for Split<'_> {
    type Item = ResourceRange;

    fn next(&mut self) -> Option<ResourceRange> {
        let (ram, start) = loop {
            let (ram, rest) = self.ram.split_first()?;
            let start = ram.start.max(self.done);
            if start < ram.end()? {
                break (ram, start);
            }
            self.ram = rest;
        };
        let end = ram.end()?;
        let next_added =
            self.added.iter().filter(|a| (start..end).contains(&a.start)).min_by_key(|a| a.start);
        let (len, kind) = match next_added {
            Some(added) if added.start == start => (added.len, Memory::Accepted),
            Some(added) => (added.start - start, Memory::Unaccepted),
            None => (end - start, Memory::Unaccepted),
        };
        self.done = start.checked_add(len)?;
        Some(ResourceRange { start, len, kind })
    }
}

fn header(kind: u16, length: u16) -> Header {
    Header { kind: kind.into(), length: length.into(), reserved: 0.into() }
}

fn handoff(end_of_list: u64) -> Handoff {
    Handoff {
        header: header(item::HANDOFF, length::HANDOFF),
        version: HANDOFF_VERSION.into(),
        boot_mode: 0.into(),
        memory_top: 0.into(),
        memory_bottom: 0.into(),
        free_memory_top: 0.into(),
        free_memory_bottom: 0.into(),
        end_of_list: end_of_list.into(),
    }
}

fn resource_item(range: ResourceRange) -> Resource {
    let kind = match range.kind {
        Memory::Accepted => resource::SYSTEM_MEMORY,
        Memory::Unaccepted => resource::UNACCEPTED,
    };
    Resource {
        header: header(item::RESOURCE, length::RESOURCE),
        owner: [0; 16],
        kind: kind.into(),
        attributes: resource::ATTRIBUTES.into(),
        start: range.start.into(),
        len: range.len.into(),
    }
}

/// Why no list can be written: the image and the memory do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the Display text of each variant is its documentation")]
pub enum BuildError {
    BadRam { index: usize, range: RamRange },
    NotInRam { range: RamRange },
    AddedTwice { range: RamRange },
    Misplaced { gpa: u64 },
    Overrun { needed: usize, capacity: usize },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BadRam { index, range } => write!(
                f,
                "RAM range {index} {range} is empty, wraps, or does not lie above the one before it"
            ),
            Self::NotInRam { range } => write!(
                f,
                "the TD_HOB or TempMem section {range} does not lie in one range of RAM: give the guest more memory"
            ),
            Self::AddedTwice { range } => {
                write!(f, "the TD_HOB or TempMem section {range} overlaps another one")
            }
            Self::Misplaced { gpa } => write!(f, "a TD HOB at {gpa:#x} would reach past 2^64"),
            Self::Overrun { needed, capacity } => write!(
                f,
                "the TD HOB needs {needed} bytes, but its section has {capacity}: enlarge the section"
            ),
        }
    }
}

impl Error for BuildError {}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;
    use sha2::{Digest, Sha384};

    use super::*;
    use crate::hob::{Limit, parse};
    use crate::q35_ram;
    use crate::testing::{OVMF, OVMF_SIZE, hex, image_with};

    const fn range(start: u64, len: u64) -> RamRange {
        RamRange { start, len }
    }

    /// [TDVF 2.2]
    #[test]
    fn the_list_of_ovmf_with_512_mib_is_what_qemu_writes() {
        let image = image_with(OVMF_SIZE, &OVMF);
        let metadata = Metadata::parse(&image).unwrap();
        let mut out = vec![0xCC; 0x2000];
        assert_eq!(build_for(&metadata, q35_ram(512 << 20).ranges(), &mut out), Ok(448));
        assert_eq!(
            hex(&Sha384::digest(&out[..440])),
            "00934f9ff0a0f65e41109afb9a7c5a0719f567f32514aeaef4c23c8535793f7064a2c69738a2000500ffae6ba349a153"
        );
        assert_eq!(out[48..56], 0x80_91C0_u64.to_le_bytes());
        assert_eq!(out[440..448], [0xFF, 0xFF, 8, 0, 0, 0, 0, 0]);
        assert!(out[448..].iter().all(|&byte| byte == 0));

        let list = parse(&out, Limit::Refuse(1 << 47)).unwrap();
        let rows: Vec<_> = list.resources().map(|r| (r.start, r.len, r.kind)).collect();
        assert_eq!(
            rows,
            [
                (0x0, 0x80_0000, Memory::Unaccepted),
                (0x80_0000, 0x6000, Memory::Accepted),
                (0x80_6000, 0x3000, Memory::Unaccepted),
                (0x80_9000, 0x2000, Memory::Accepted),
                (0x80_B000, 0x2000, Memory::Accepted),
                (0x80_D000, 0x3000, Memory::Unaccepted),
                (0x81_0000, 0x1_0000, Memory::Accepted),
                (0x82_0000, 0x1F7E_0000, Memory::Unaccepted),
            ]
        );
    }

    #[test]
    fn memory_that_does_not_fit_is_refused_and_nothing_is_written() {
        let ram = [range(0, 0x8000), range(0x1_0000, 0x8000)];
        let mut out = [0xCC; 200];
        let mut refused = |ram: &[RamRange], added: &[RamRange], gpa| {
            let error = build(ram, added, gpa, &mut out).unwrap_err();
            assert!(out.iter().all(|&byte| byte == 0xCC));
            error
        };
        let outside = range(0x7000, 0x2000);
        assert_eq!(refused(&ram, &[outside], 0), BuildError::NotInRam { range: outside });
        let nothing = range(0x1000, 0);
        assert_eq!(refused(&ram, &[nothing], 0), BuildError::NotInRam { range: nothing });
        let twice = range(0x2000, 0x1000);
        assert_eq!(
            refused(&ram, &[range(0x1000, 0x2000), twice], 0),
            BuildError::AddedTwice { range: twice }
        );
        let back = BuildError::BadRam { index: 1, range: ram[0] };
        assert_eq!(refused(&[ram[1], ram[0]], &[], 0), back);
        let wraps = range(0x1000, u64::MAX);
        assert_eq!(refused(&[wraps], &[], 0), BuildError::BadRam { index: 0, range: wraps });
        assert_eq!(refused(&ram, &[], u64::MAX), BuildError::Misplaced { gpa: u64::MAX });
        // Two ranges and an added one inside make four items.
        let overrun = BuildError::Overrun { needed: 64 + 4 * 48, capacity: 200 };
        assert_eq!(refused(&ram, &[twice], 0), overrun);
    }

    #[test]
    fn eight_kib_hold_169_ranges_and_not_one_more() {
        let ram: Vec<_> = (0..170).map(|i| range(i << 13, 1 << 12)).collect();
        let mut out = vec![0; 0x2000];
        assert_eq!(build(&ram[..169], &[], 0, &mut out), Ok(8176));
        let overrun = BuildError::Overrun { needed: 8224, capacity: 8192 };
        assert_eq!(build(&ram, &[], 0, &mut out), Err(overrun));
    }

    #[test]
    fn the_list_ends_with_its_section_even_in_a_larger_buffer() {
        let image = image_with(OVMF_SIZE, &OVMF);
        let metadata = Metadata::parse(&image).unwrap();
        let mut out = vec![0xCC; 0x3000];
        assert!(build_for(&metadata, q35_ram(1 << 30).ranges(), &mut out).is_ok());
        assert!(out[0x2000..].iter().all(|&byte| byte == 0xCC));
    }

    proptest! {
        /// The model is one flag for each page of RAM.
        #[test]
        fn every_page_of_ram_is_listed_once_and_as_it_stands(
            low_pages in 1_usize..60, high_pages in 1_usize..60, picks: [bool; 120], cuts: [bool; 120],
        ) {
            let high = 0x100_usize;
            let page = |i: usize| if i < low_pages { i } else { high + i - low_pages };
            let bytes = |pages: usize| (pages as u64) << 12;
            let ram = [range(0, bytes(low_pages)), range(bytes(high), bytes(high_pages))];
            let total = low_pages + high_pages;
            let mut added: Vec<RamRange> = vec![];
            for i in (0..total).filter(|&i| picks[i]) {
                match added.last_mut() {
                    Some(last) if last.end() == Some(bytes(page(i))) && !cuts[i] => last.len += 0x1000,
                    _ => added.push(range(bytes(page(i)), 0x1000)),
                }
            }
            added.reverse();
            let mut out = vec![0xCC; 0x2000];
            let len = build(&ram, &added, 0x1000, &mut out).unwrap();
            let list = parse(&out[..len], Limit::Refuse(1 << 47)).unwrap();
            let mut listed = vec![];
            for item in list.resources() {
                let first = usize::try_from(item.start >> 12).unwrap();
                let count = usize::try_from(item.len >> 12).unwrap();
                listed.extend((first..first + count).map(|p| (p, item.kind == Memory::Accepted)));
            }
            let model: Vec<_> = (0..total).map(|i| (page(i), picks[i])).collect();
            prop_assert_eq!(listed, model);
            prop_assert_eq!(list.measured_bytes().len(), len - 8);
        }
    }
}
