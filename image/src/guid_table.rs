//! The table of GUIDs at the end of a TDVF image, walked as QEMU walks it [TDVF 1.2].
//!
//! The table is read from its foot: its last 16 bytes are the footer GUID, which ends 32 bytes
//! before the end of the image. Each entry is `[payload][u16 length][GUID]`, and the next one
//! ends where this one starts. The walk needs only the end of the image, so a booted image can
//! run it over its own last page.

use core::fmt;

use zerocopy::little_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::ImageError;

/// Names the table: its last 16 bytes.
pub const FOOTER: Guid =
    Guid::new((0x96b5_82de, 0x1fb2, 0x45f7), [0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d]);

/// Names the entry whose payload is the u32 distance from the descriptor to the image's end.
pub const TDX_METADATA: Guid =
    Guid::new((0xe47a_6535, 0x984a, 0x4798), [0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2]);

/// Stands right before the descriptor. QEMU does not look at it; td-shim's tools do.
pub const TDVF: Guid =
    Guid::new((0xe9ea_f9f3, 0x168e, 0x44d5), [0xa8, 0xeb, 0x7f, 0x4d, 0x87, 0x38, 0xf6, 0xae]);

/// From the end of the image to the end of the table.
const FOOT_FROM_END: usize = 32;
const GUID_SIZE: usize = size_of::<Guid>();
const LENGTH_SIZE: usize = size_of::<U16>();
/// What an entry, and the table itself, has beside its payload.
pub(crate) const ENTRY_OVERHEAD: usize = LENGTH_SIZE + GUID_SIZE;

/// A GUID as it is stored: the first three fields little-endian, the rest as written.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub struct Guid([u8; 16]);

impl Guid {
    /// The GUID written `a-b-c-` and then the eight bytes of `rest`.
    pub const fn new((a, b, c): (u32, u16, u16), rest: [u8; 8]) -> Self {
        let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
        let r = rest;
        Self([
            a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], r[0], r[1], r[2], r[3], r[4], r[5],
            r[6], r[7],
        ])
    }

    /// The bytes as they stand in a file.
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fields, rest) = self.0.split_at(8);
        // Each of the first three fields is stored backwards.
        for field in [0..4, 4..6, 6..8] {
            fields[field].iter().rev().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            f.write_str("-")?;
        }
        write!(f, "{:02x}{:02x}-", rest[0], rest[1])?;
        rest[2..].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The entries of a table, from its foot down.
///
/// Ends after the first broken entry, for what lies below it cannot be found.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    /// What of the table is not yet walked; the next entry is at its end.
    rest: &'a [u8],
}

/// Opens the table at the end of `tail`, which must end where the image ends.
pub fn entries(tail: &[u8]) -> Result<Entries<'_>, ImageError> {
    let (rest, guid) = tail
        .len()
        .checked_sub(FOOT_FROM_END)
        .and_then(|foot| tail.get(..foot))
        .and_then(split_guid)
        .ok_or(ImageError::NoGuidTable)?;
    if guid != FOOTER {
        return Err(ImageError::NoGuidTable);
    }
    let (rest, length) = split_length(rest).ok_or(ImageError::NoGuidTable)?;
    let broken = ImageError::BadGuidTableLength { length, image: tail.len() };
    let below = usize::from(length).checked_sub(ENTRY_OVERHEAD).ok_or(broken)?;
    let start = rest.len().checked_sub(below).ok_or(broken)?;
    Ok(Entries { rest: &rest[start..] })
}

/// The payload of the entry named `guid`, if the table has one. The entry nearest to the foot
/// wins; one behind a broken entry is not found, as with QEMU.
pub fn find(tail: &[u8], guid: Guid) -> Result<Option<&[u8]>, ImageError> {
    for entry in entries(tail)? {
        let (name, payload) = entry?;
        if name == guid {
            return Ok(Some(payload));
        }
    }
    Ok(None)
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(Guid, &'a [u8]), ImageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let table = self.rest;
        let (below, guid) = split_guid(table)?;
        let (below, length) = split_length(below)?;
        let payload = usize::from(length)
            .checked_sub(ENTRY_OVERHEAD)
            .and_then(|payload| below.len().checked_sub(payload));
        let Some(start) = payload else {
            self.rest = &[];
            return Some(Err(ImageError::BadGuidEntry { length, left: table.len() }));
        };
        self.rest = &below[..start];
        Some(Ok((guid, &below[start..])))
    }
}

fn split_guid(bytes: &[u8]) -> Option<(&[u8], Guid)> {
    Guid::read_from_suffix(bytes).ok()
}

fn split_length(bytes: &[u8]) -> Option<(&[u8], u16)> {
    U16::read_from_suffix(bytes).ok().map(|(rest, length)| (rest, length.get()))
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;
    use std::{format, vec};

    use proptest::prelude::*;

    use super::*;

    const SEV_RESET: Guid =
        Guid::new((0x00f7_71de, 0x1a7e, 0x4fcb), [0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e]);

    /// The end of an image with these entries, the first nearest to the foot.
    fn tail_with(entries: &[(Guid, Vec<u8>)]) -> Vec<u8> {
        let mut tail = vec![0xEE; 64];
        for (guid, payload) in entries.iter().rev() {
            tail.extend_from_slice(payload);
            tail.extend_from_slice(&u16::try_from(payload.len() + 18).unwrap().to_le_bytes());
            tail.extend_from_slice(&guid.bytes());
        }
        let total = u16::try_from(tail.len() - 64 + 18).unwrap();
        tail.extend_from_slice(&total.to_le_bytes());
        tail.extend_from_slice(&FOOTER.bytes());
        tail.extend_from_slice(&[0; 32]);
        tail
    }

    #[test]
    fn guids_are_stored_mixed_endian() {
        let rows: [(Guid, [u8; 16], &str); 3] = [
            (
                FOOTER,
                *b"\xde\x82\xb5\x96\xb2\x1f\xf7\x45\xba\xea\xa3\x66\xc5\x5a\x08\x2d",
                "96b582de-1fb2-45f7-baea-a366c55a082d",
            ),
            (
                TDX_METADATA,
                *b"\x35\x65\x7a\xe4\x4a\x98\x98\x47\x86\x5e\x46\x85\xa7\xbf\x8e\xc2",
                "e47a6535-984a-4798-865e-4685a7bf8ec2",
            ),
            (
                TDVF,
                *b"\xf3\xf9\xea\xe9\x8e\x16\xd5\x44\xa8\xeb\x7f\x4d\x87\x38\xf6\xae",
                "e9eaf9f3-168e-44d5-a8eb-7f4d8738f6ae",
            ),
        ];
        for (guid, bytes, text) in rows {
            assert_eq!(guid.bytes(), bytes);
            assert_eq!(format!("{guid:?}"), text);
        }
    }

    #[test]
    fn the_smallest_trailer_of_the_reference_is_read() {
        let tail = tail_with(&[(TDX_METADATA, vec![0x00, 0x0a, 0, 0])]);
        assert_eq!(&tail[tail.len() - 50..tail.len() - 48], [0x28, 0]);
        assert_eq!(find(&tail, TDX_METADATA), Ok(Some(&[0x00, 0x0a, 0, 0][..])));
        assert_eq!(find(&tail, SEV_RESET), Ok(None));
    }

    #[test]
    fn the_entry_nearest_to_the_foot_wins() {
        let tail = tail_with(&[(SEV_RESET, vec![]), (TDVF, vec![1]), (TDVF, vec![2])]);
        assert_eq!(find(&tail, TDVF), Ok(Some(&[1][..])));
    }

    #[test]
    fn a_table_without_footer_or_room_is_refused() {
        assert_eq!(find(&[], TDVF), Err(ImageError::NoGuidTable));
        assert_eq!(find(&[0; 4096], TDVF), Err(ImageError::NoGuidTable));
        let good = tail_with(&[]);
        assert_eq!(find(&good, TDVF), Ok(None));
        for length in [0_u16, 17, 18 + 65] {
            let mut tail = good.clone();
            let at = tail.len() - 50;
            tail[at..at + 2].copy_from_slice(&length.to_le_bytes());
            let image = tail.len();
            assert_eq!(find(&tail, TDVF), Err(ImageError::BadGuidTableLength { length, image }));
        }
    }

    #[test]
    fn an_entry_that_cannot_be_stepped_over_ends_the_walk() {
        for length in [0_u16, 17, 44] {
            let mut tail = tail_with(&[(SEV_RESET, vec![7; 3]), (TDVF, vec![1; 4])]);
            let at = tail.len() - 50 - 18;
            tail[at..at + 2].copy_from_slice(&length.to_le_bytes());
            assert_eq!(find(&tail, TDVF), Err(ImageError::BadGuidEntry { length, left: 43 }));
            assert_eq!(entries(&tail).unwrap().count(), 1);
        }
    }

    proptest! {
        #[test]
        fn every_entry_written_is_read_back_in_order(
            rows in prop::collection::vec((any::<[u8; 16]>(), prop::collection::vec(any::<u8>(), 0..40)), 0..12),
        ) {
            let rows: Vec<_> = rows.into_iter().map(|(guid, payload)| (Guid(guid), payload)).collect();
            let tail = tail_with(&rows);
            let read: Vec<_> = entries(&tail).unwrap().map(Result::unwrap).map(|(g, p)| (g, p.to_vec())).collect();
            prop_assert_eq!(read, rows);
        }

        #[test]
        fn no_bytes_make_the_walk_panic(mut tail in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = find(&tail, TDVF);
            if let Some(foot) = tail.len().checked_sub(48) {
                tail[foot..foot + 16].copy_from_slice(&FOOTER.bytes());
                let walked = entries(&tail).map_or(0, Iterator::count);
                prop_assert!(walked <= tail.len() / ENTRY_OVERHEAD + 1);
            }
        }
    }
}
