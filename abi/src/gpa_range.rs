//! A range of guest-physical pages in one half: the operand of MapGPA. [TDVF 4.4]

use core::fmt;

use crate::{Gpa, GpaWidth, PAGE_SIZE};

/// Whole 4 KiB pages, at least one, all in the same half of the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpaRange {
    start: Gpa,
    bytes: u64,
}

/// Why two numbers are not a [`GpaRange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeError {
    /// No page.
    Empty,
    /// Start or size is not a multiple of 4 KiB.
    Unaligned,
    /// The range goes on beyond its half.
    TooLong,
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the range has no page",
            Self::Unaligned => "the range is not of whole pages",
            Self::TooLong => "the range leaves its half of the address space",
        })
    }
}

impl core::error::Error for RangeError {}

impl GpaRange {
    /// The `bytes` bytes from `start`, in a TD whose GPAs are `width` wide.
    ///
    /// # Errors
    /// The range is empty, not of whole pages, or leaves the half of `start`.
    pub const fn try_new(start: Gpa, bytes: u64, width: GpaWidth) -> Result<Self, RangeError> {
        let half = width.shared_mask();
        let offset = start.bits() & !half;
        if bytes == 0 {
            Err(RangeError::Empty)
        } else if !offset.is_multiple_of(PAGE_SIZE) || !bytes.is_multiple_of(PAGE_SIZE) {
            Err(RangeError::Unaligned)
        } else if offset >= half || bytes > half - offset {
            Err(RangeError::TooLong)
        } else {
            Ok(Self { start, bytes })
        }
    }

    /// The first address, with its SHARED bit.
    #[must_use]
    pub const fn start(&self) -> Gpa {
        self.start
    }

    /// Number of bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The address behind the last one: start and end compare as the raw numbers do.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.start.bits().wrapping_add(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PrivateGpa, SharedGpa};

    #[test]
    fn a_range_keeps_to_its_half() {
        for width in [GpaWidth::Bits48, GpaWidth::Bits52] {
            let half = width.shared_mask();
            let last = Gpa::Private(PrivateGpa::try_new(half - PAGE_SIZE, width).unwrap());
            assert_eq!(GpaRange::try_new(last, PAGE_SIZE, width).map(|r| r.end()), Ok(half));
            assert_eq!(GpaRange::try_new(last, 2 * PAGE_SIZE, width), Err(RangeError::TooLong));
            let shared = Gpa::Shared(SharedGpa::try_new(0x1000, width).unwrap());
            assert_eq!(
                GpaRange::try_new(shared, PAGE_SIZE, width).map(|r| r.end()),
                Ok(half | 0x2000)
            );
            assert_eq!(GpaRange::try_new(shared, half, width), Err(RangeError::TooLong));
        }
        // An address of the wider width does not slip in.
        let wide = Gpa::Shared(SharedGpa::try_new(0, GpaWidth::Bits52).unwrap());
        let range = GpaRange::try_new(wide, PAGE_SIZE, GpaWidth::Bits48);
        assert_eq!(range, Err(RangeError::TooLong));
    }

    #[test]
    fn only_whole_pages_are_a_range() {
        let (at, width) = (|a| Gpa::Private(PrivateGpa::new(a)), GpaWidth::Bits48);
        assert_eq!(GpaRange::try_new(at(0), 0, width), Err(RangeError::Empty));
        assert_eq!(GpaRange::try_new(at(1), PAGE_SIZE, width), Err(RangeError::Unaligned));
        assert_eq!(GpaRange::try_new(at(0), PAGE_SIZE + 1, width), Err(RangeError::Unaligned));
        assert_eq!(GpaRange::try_new(at(0), u64::MAX & !0xFFF, width), Err(RangeError::TooLong));
    }
}
