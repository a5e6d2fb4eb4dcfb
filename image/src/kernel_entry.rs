//! How the booted image finds its kernel: an entry of our own in the GUID table.
//!
//! No VMM knows the entry, and none needs to. It is part of the measured image, so boot may
//! trust it as it trusts its own code; the checks here guard against a wrong build.

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::ImageError;
use crate::guid_table::{self, Guid};
use crate::layout::{IMAGE_END, MAX_IMAGE_SIZE};

/// Names the entry "tdlet kernel".
pub const KERNEL: Guid =
    Guid::new((0x24c1_2a57, 0x490e, 0x4387), [0x86, 0x35, 0x8c, 0xb7, 0x62, 0xdc, 0xc0, 0x18]);

/// An image is no longer than this.
const MAX_FROM_END: u32 = 0x100_0000;
const _: () = assert!(MAX_FROM_END as usize == MAX_IMAGE_SIZE);

/// The payload of the entry, as the file has it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct RawPlace {
    pub(crate) from_end: U32,
    pub(crate) length: U32,
}

const _: () = assert!(size_of::<RawPlace>() == 8);

/// Where the kernel ELF lies, counted from the end of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelPlace {
    from_end: u32,
    length: u32,
}

impl KernelPlace {
    /// Reads the place from the end of an image. `tail` must end where the image ends, and need
    /// only be long enough to hold the GUID table: a booted image can pass its last page.
    pub fn locate(tail: &[u8]) -> Result<Self, ImageError> {
        let payload = guid_table::find(tail, KERNEL)?.ok_or(ImageError::NoKernelEntry)?;
        let (raw, _) = RawPlace::read_from_prefix(payload).map_err(|_| {
            ImageError::ShortGuidPayload { found: payload.len(), wanted: size_of::<RawPlace>() }
        })?;
        let place = Self { from_end: raw.from_end.get(), length: raw.length.get() };
        let fits = place.from_end <= MAX_FROM_END && place.length <= place.from_end;
        if place.length == 0 || !fits { Err(place.outside()) } else { Ok(place) }
    }

    /// The guest-physical address of the first byte.
    pub const fn address(self) -> u64 {
        IMAGE_END - self.from_end as u64
    }

    /// The number of bytes, at least one.
    pub const fn length(self) -> usize {
        self.length as usize
    }

    const fn outside(self) -> ImageError {
        ImageError::KernelOutside { from_end: self.from_end, length: self.length }
    }
}

/// The kernel ELF inside `image`, which is the whole file.
pub fn find_kernel(image: &[u8]) -> Result<&[u8], ImageError> {
    let place = KernelPlace::locate(image)?;
    image
        .len()
        .checked_sub(place.from_end as usize)
        .and_then(|start| image.get(start..)?.get(..place.length()))
        .ok_or(place.outside())
}

#[cfg(test)]
mod tests {
    use std::format;

    use proptest::prelude::*;

    use super::*;
    use crate::layout::{PAGE_SIZE, TRAILER_SIZE};
    use crate::testing::{assembled, image_with, small_sections};

    /// Where the entry's payload starts in our images, from the end.
    const PAYLOAD: usize = 98;

    #[test]
    fn the_guid_is_the_one_the_layout_draws() {
        assert_eq!(format!("{KERNEL:?}"), "24c12a57-490e-4387-8635-8cb762dcc018");
    }

    #[test]
    fn the_kernel_is_found_in_the_image_and_from_its_last_bytes() {
        let image = assembled(b"\x7fELF and more");
        assert_eq!(find_kernel(&image), Ok(&b"\x7fELF and more"[..]));
        for tail in [PAGE_SIZE, TRAILER_SIZE] {
            let place = KernelPlace::locate(&image[image.len() - tail..]).unwrap();
            assert_eq!(place.address(), 0xFFFF_0000);
            assert_eq!(place.length(), 13);
        }
    }

    #[test]
    fn an_image_of_someone_else_has_no_kernel() {
        let image = image_with(0x1_0000, &small_sections());
        assert_eq!(find_kernel(&image), Err(ImageError::NoKernelEntry));
    }

    #[test]
    fn a_kernel_that_is_empty_or_outside_is_refused() {
        let rows =
            [(0x1_0000, 0), (0x1_0000, 0x1_0001), (0x1_0001, 1), (0, 1), (u32::MAX, u32::MAX)];
        for (from_end, length) in rows {
            let mut image = assembled(&[1; 100]);
            let at = image.len() - PAYLOAD;
            image[at..at + 4].copy_from_slice(&u32::to_le_bytes(from_end));
            image[at + 4..at + 8].copy_from_slice(&u32::to_le_bytes(length));
            assert_eq!(find_kernel(&image), Err(ImageError::KernelOutside { from_end, length }));
        }
        // From the last bytes alone only the bound of every image can be told.
        let mut image = assembled(&[1; 100]);
        let at = image.len() - PAYLOAD;
        for (from_end, is_ok) in [(MAX_FROM_END, true), (MAX_FROM_END + 1, false)] {
            image[at..at + 4].copy_from_slice(&from_end.to_le_bytes());
            assert_eq!(KernelPlace::locate(&image[at..]).is_ok(), is_ok);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_search_panic(trailer in prop::collection::vec(any::<u8>(), 50), payload: [u8; 8]) {
            let mut image = assembled(&[1; 100]);
            let at = image.len() - PAYLOAD;
            image[at..at + 8].copy_from_slice(&payload);
            let _ = find_kernel(&image);
            image[at..at + 50].copy_from_slice(&trailer);
            let _ = find_kernel(&image);
            let _ = find_kernel(&trailer);
        }
    }
}
