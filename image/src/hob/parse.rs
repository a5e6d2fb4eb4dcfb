//! Reads a TD HOB that someone hostile may have written [TDVF 2.4].
//!
//! The list is checked as a whole before any of it is used. It is bounded by the bytes given,
//! so pass the TD_HOB area that the image's metadata names, never an address from a register.
//! After the checks every range is whole pages, does not wrap, lies below the given limit, and
//! shares no byte with another range. Not checked, because only the caller can: that a range
//! is not the image or the caller's own memory, and that there is memory at all.
//!
//! Taken items: one hand-off first, resources, GUID extensions (skipped), the end. Others have
//! no reason to be in a TD HOB. Of resources, system memory (added) and unaccepted memory are
//! returned; the other kinds of the UEFI specification are skipped.

use core::error::Error;
use core::fmt;

use zerocopy::FromBytes;

use super::{Header, Memory, Resource, ResourceRange, item, length, resource};
use crate::layout::PAGE_SIZE;
use crate::ram::RamRange;

/// A header and a GUID: the least a GUID extension has.
const GUID_EXTENSION_MIN: u16 = 24;

/// What to do with memory that lies at or above an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Refuse the list.
    Refuse(u64),
    /// Leave that memory out.
    Clip(u64),
}

/// Checks the list that starts `bytes`.
pub fn parse(bytes: &[u8], limit: Limit) -> Result<HobList<'_>, HobError> {
    let mut items = Items { bytes, at: 0 };
    match items.next() {
        Some(Ok(Item { header, .. })) if header.kind == item::HANDOFF => {}
        Some(Err(error)) => return Err(error),
        _ => return Err(HobError::NoHandoff),
    }
    for next in items.by_ref() {
        let next = next?;
        let at = next.at;
        if next.header.kind == item::HANDOFF {
            return Err(HobError::UnknownItem { at, kind: item::HANDOFF });
        }
        if let Some(range) = ram_of(&next, limit)? {
            // The part before this item has passed, so it can be read as a list.
            let earlier = HobList { list: &bytes[..at], limit };
            if earlier.resources().any(|other| other.range().overlaps(range.range())) {
                return Err(HobError::Overlap { at, range: range.range() });
            }
        }
    }
    Ok(HobList { list: &bytes[..items.at], limit })
}

/// A list that has passed every check.
#[derive(Clone, Copy, Debug)]
pub struct HobList<'a> {
    /// From the hand-off item up to the end item, which is not part of it.
    list: &'a [u8],
    limit: Limit,
}

impl<'a> HobList<'a> {
    /// The ranges of RAM, in the order of the list; none is empty.
    pub fn resources(&self) -> impl Iterator<Item = ResourceRange> + Clone + use<'a> {
        let limit = self.limit;
        Items { bytes: self.list, at: 0 }
            .map_while(Result::ok)
            .filter_map(move |item| ram_of(&item, limit).ok().flatten())
    }

    /// The bytes that firmware measures: the list without its end item.
    pub const fn measured_bytes(&self) -> &'a [u8] {
        self.list
    }
}

/// The items before the end item, their headers checked. Stops at the end item with `at` on it.
#[derive(Clone, Debug)]
struct Items<'a> {
    bytes: &'a [u8],
    at: usize,
}

#[derive(Clone, Copy, Debug)]
struct Item<'a> {
    at: usize,
    header: Header,
    /// The whole item, header included.
    body: &'a [u8],
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>, HobError>;

    fn next(&mut self) -> Option<Self::Item> {
        let checked = self.check_next();
        match checked {
            Ok(item) if item.header.kind == item::END => return None,
            Ok(item) => self.at += item.body.len(),
            Err(_) => self.bytes = &[],
        }
        Some(checked)
    }
}

impl<'a> Items<'a> {
    fn check_next(&self) -> Result<Item<'a>, HobError> {
        let at = self.at;
        let rest = self.bytes.get(at..).unwrap_or(&[]);
        let (header, _) = Header::read_from_prefix(rest).map_err(|_| HobError::NoEnd { at })?;
        let (kind, length) = (header.kind.get(), header.length.get());
        if header.reserved != 0 {
            return Err(HobError::Reserved { at, value: header.reserved.get() });
        }
        let length_is_right = match kind {
            item::HANDOFF => length == length::HANDOFF,
            item::RESOURCE => length == length::RESOURCE,
            item::GUID_EXTENSION => length >= GUID_EXTENSION_MIN && length.is_multiple_of(8),
            item::END => length == length::END,
            _ => return Err(HobError::UnknownItem { at, kind }),
        };
        if !length_is_right {
            return Err(HobError::BadLength { at, kind, length });
        }
        let body = rest.get(..usize::from(length)).ok_or(HobError::NoEnd { at })?;
        Ok(Item { at, header, body })
    }
}

/// The RAM of an item, if it is a resource item and lists RAM below the limit.
fn ram_of(item: &Item<'_>, limit: Limit) -> Result<Option<ResourceRange>, HobError> {
    let Item { at, header, body } = *item;
    if header.kind != item::RESOURCE {
        return Ok(None);
    }
    let length = header.length.get();
    let raw = Resource::ref_from_bytes(body).map_err(|_| HobError::BadLength {
        at,
        kind: item::RESOURCE,
        length,
    })?;
    let range = RamRange { start: raw.start.get(), len: raw.len.get() };
    let end = range.end().ok_or(HobError::Wraps { at, start: range.start, len: range.len })?;
    let kind = match raw.kind.get() {
        resource::SYSTEM_MEMORY => Memory::Accepted,
        resource::UNACCEPTED => Memory::Unaccepted,
        kind if kind < resource::UNACCEPTED => return Ok(None),
        kind => return Err(HobError::UnknownResource { at, kind }),
    };
    if !(range.start | range.len).is_multiple_of(PAGE_SIZE as u64) {
        return Err(HobError::Unaligned { at, range });
    }
    let end = match limit {
        Limit::Refuse(gpa) if end > gpa => {
            return Err(HobError::BeyondLimit { at, range, limit: gpa });
        }
        Limit::Refuse(_) => end,
        Limit::Clip(gpa) => end.min(gpa),
    };
    let len = end.saturating_sub(range.start);
    Ok((len != 0).then_some(ResourceRange { start: range.start, len, kind }))
}

/// Why a list is refused. The VMM that wrote it is at fault. `at` is the offset of the item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the Display text of each variant is its documentation")]
pub enum HobError {
    NoHandoff,
    NoEnd { at: usize },
    Reserved { at: usize, value: u32 },
    UnknownItem { at: usize, kind: u16 },
    BadLength { at: usize, kind: u16, length: u16 },
    UnknownResource { at: usize, kind: u32 },
    Wraps { at: usize, start: u64, len: u64 },
    Unaligned { at: usize, range: RamRange },
    BeyondLimit { at: usize, range: RamRange, limit: u64 },
    Overlap { at: usize, range: RamRange },
}

impl fmt::Display for HobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TD HOB: ")?;
        match *self {
            Self::NoHandoff => f.write_str("the list does not start with a hand-off item"),
            Self::NoEnd { at } => write!(f, "the list runs out of its area at {at:#x}, no end"),
            Self::Reserved { at, value } => {
                write!(f, "item at {at:#x}: the reserved field is {value:#x}, not 0")
            }
            Self::UnknownItem { at, kind } => {
                write!(f, "item at {at:#x}: kind {kind:#x} has no place here")
            }
            Self::BadLength { at, kind, length } => {
                write!(f, "item at {at:#x}: kind {kind:#x} cannot be {length} bytes")
            }
            Self::UnknownResource { at, kind } => {
                write!(f, "item at {at:#x}: resource kind {kind:#x} is not known")
            }
            Self::Wraps { at, start, len } => {
                write!(f, "item at {at:#x}: {len:#x} bytes at {start:#x} wrap around 2^64")
            }
            Self::Unaligned { at, range } => {
                write!(f, "item at {at:#x}: {range} is not whole pages")
            }
            Self::BeyondLimit { at, range, limit } => {
                write!(f, "item at {at:#x}: {range} reaches past {limit:#x}")
            }
            Self::Overlap { at, range } => {
                write!(f, "item at {at:#x}: {range} overlaps a range listed before")
            }
        }
    }
}

impl Error for HobError {}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::hob::build;

    const NO_LIMIT: Limit = Limit::Refuse(u64::MAX);
    const FIRST: usize = 56;

    /// A list of these `(kind, start, len)`, with nothing behind its end.
    fn list_of(resources: &[(u32, u64, u64)]) -> Vec<u8> {
        let mut list = vec![0; 64];
        build(&[], &[], 0, &mut list).unwrap();
        let end = list.split_off(FIRST);
        for &(kind, start, len) in resources {
            list.extend_from_slice(&[3, 0, 48, 0, 0, 0, 0, 0]);
            list.extend_from_slice(&[0; 16]);
            list.extend_from_slice(&kind.to_le_bytes());
            list.extend_from_slice(&[7, 0, 0, 0]);
            list.extend_from_slice(&start.to_le_bytes());
            list.extend_from_slice(&len.to_le_bytes());
        }
        list.extend_from_slice(&end);
        list
    }

    fn with(mut list: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
        list[at] = byte;
        list
    }

    fn refused(list: &[u8]) -> HobError {
        parse(list, NO_LIMIT).map(|_| ()).expect_err("this list should be refused")
    }

    #[test]
    fn a_list_that_breaks_a_rule_is_refused() {
        let good = list_of(&[(7, 0, 0x1000)]);
        assert!(parse(&good, NO_LIMIT).is_ok());
        let at = FIRST;
        let rows = [
            (vec![], HobError::NoEnd { at: 0 }),
            (good[FIRST..].to_vec(), HobError::NoHandoff),
            (good[FIRST + 48..].to_vec(), HobError::NoHandoff),
            (good[..FIRST].to_vec(), HobError::NoEnd { at }),
            (good[..FIRST + 47].to_vec(), HobError::NoEnd { at }),
            (good[..FIRST + 48 + 7].to_vec(), HobError::NoEnd { at: FIRST + 48 }),
            (with(good.clone(), at + 7, 1), HobError::Reserved { at, value: 0x0100_0000 }),
            (with(good.clone(), at, 1), HobError::BadLength { at, kind: 1, length: 48 }),
            (with(good.clone(), at, 2), HobError::UnknownItem { at, kind: 2 }),
            (with(good.clone(), at + 1, 9), HobError::UnknownItem { at, kind: 0x903 }),
            (with(good.clone(), at + 2, 0), HobError::BadLength { at, kind: 3, length: 0 }),
            (with(good.clone(), at + 2, 56), HobError::BadLength { at, kind: 3, length: 56 }),
            (with(good.clone(), 2, 48), HobError::BadLength { at: 0, kind: 1, length: 48 }),
            (with(good.clone(), at + 24, 8), HobError::UnknownResource { at, kind: 8 }),
            (
                with(good, at + 33, 1),
                HobError::Unaligned { at, range: RamRange { start: 0x100, len: 0x1000 } },
            ),
        ];
        for (list, error) in rows {
            assert_eq!(refused(&list), error);
        }
        let two_handoffs = [&list_of(&[])[..FIRST], &list_of(&[])].concat();
        assert_eq!(refused(&two_handoffs), HobError::UnknownItem { at, kind: 1 });
    }

    #[test]
    fn a_range_that_wraps_is_refused_whatever_its_kind() {
        let start = u64::MAX - 0xFFF;
        for kind in 0..=7 {
            let wraps = HobError::Wraps { at: FIRST, start, len: 0x1000 };
            assert_eq!(refused(&list_of(&[(kind, start, 0x1000)])), wraps);
        }
    }

    #[test]
    fn ranges_that_overlap_are_refused_in_any_order() {
        let rows = [(7, 0x2000, 0x2000), (7, 0x8000, 0x1000), (0, 0x1000, 0x2000)];
        let overlap =
            HobError::Overlap { at: FIRST + 96, range: RamRange { start: 0x1000, len: 0x2000 } };
        assert_eq!(refused(&list_of(&rows)), overlap);
        assert_eq!(refused(&list_of(&[rows[2], rows[1], rows[2]])), overlap);
    }

    #[test]
    fn only_ram_is_returned_and_guid_extensions_are_passed_over() {
        let mut list =
            list_of(&[(1, 0x123, 5), (5, 0, 0x1000), (0, 0x1000, 0x1000), (7, 0x3000, 0)]);
        let mut extension = vec![4, 0, 32, 0, 0, 0, 0, 0];
        extension.resize(32, 0xAA);
        list.splice(FIRST..FIRST, extension);
        let hob = parse(&list, NO_LIMIT).unwrap();
        let ram: Vec<_> = hob.resources().collect();
        assert_eq!(ram, [ResourceRange { start: 0x1000, len: 0x1000, kind: Memory::Accepted }]);
        for length in [16, 28] {
            let error = HobError::BadLength { at: FIRST, kind: 4, length };
            assert_eq!(refused(&with(list.clone(), FIRST + 2, length.to_le_bytes()[0])), error);
        }
    }

    #[test]
    fn memory_past_the_limit_is_refused_or_clipped_as_asked() {
        let list = list_of(&[(7, 0x1000, 0x1000), (7, 0x2000, 0x3000), (7, 0x8000, 0x1000)]);
        let range = RamRange { start: 0x2000, len: 0x3000 };
        let beyond = HobError::BeyondLimit { at: FIRST + 48, range, limit: 0x4000 };
        assert_eq!(parse(&list, Limit::Refuse(0x4000)).map(|_| ()), Err(beyond));
        assert!(parse(&list, Limit::Refuse(0x9000)).is_ok());
        let clipped: Vec<_> = parse(&list, Limit::Clip(0x4000))
            .unwrap()
            .resources()
            .map(|r| (r.start, r.len))
            .collect();
        assert_eq!(clipped, [(0x1000, 0x1000), (0x2000, 0x2000)]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes, NO_LIMIT);
            let mut list = list_of(&[]);
            list.splice(FIRST.., bytes);
            let _ = parse(&list, Limit::Clip(1 << 47));
        }

        #[test]
        fn whatever_mutation_passes_yields_sound_ranges(
            resources in prop::collection::vec((prop_oneof![Just(0_u32), Just(7), 0_u32..9], 0_u64..40, 0_u64..6), 0..8),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        ) {
            let resources: Vec<_> = resources.iter().map(|&(k, s, l)| (k, s << 12, l << 12)).collect();
            let mut list = list_of(&resources);
            for (at, byte) in changes {
                *at.get_mut(&mut list) = byte;
            }
            if let Ok(hob) = parse(&list, Limit::Clip(0x2_0000)) {
                let ranges: Vec<_> = hob.resources().collect();
                for (i, a) in ranges.iter().enumerate() {
                    prop_assert!(a.len != 0 && (a.start | a.len).is_multiple_of(0x1000));
                    prop_assert!(a.range().end().is_some_and(|end| end <= 0x2_0000));
                    prop_assert!(ranges[..i].iter().all(|b| !b.range().overlaps(a.range())));
                }
            }
        }
    }
}
