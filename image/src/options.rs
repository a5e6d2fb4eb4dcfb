//! The options: one line of text for the booted image, in an entry of our own in the GUID table.
//!
//! As a kernel's command line: words separated by spaces, `accept=lazy` for example. Whoever
//! makes the image writes it; it is part of the measured image, so another text is another
//! MRTD, and no VMM can add a word. What the words mean is boot's and the kernel's matter.

use core::error::Error;
use core::fmt;

use crate::ImageError;
use crate::guid_table::{self, Guid};

/// Names the entry "tdlet options". Its payload is the text, without an end mark.
pub const OPTIONS: Guid =
    Guid::new((0xc834_c940, 0xa49b, 0x41bf), [0xb9, 0xd7, 0xbe, 0xe3, 0xb3, 0x56, 0xa2, 0x3c]);

/// The most bytes of text.
pub const MAX_OPTIONS: usize = 256;

/// The options of the image that ends with `tail`, as [`guid_table::find`] takes it; an image
/// without them has the empty text.
pub fn find_options(tail: &[u8]) -> Result<&str, ImageError> {
    let payload = guid_table::find(tail, OPTIONS)?.unwrap_or(&[]);
    check_options(payload).map_err(ImageError::Options)
}

/// `text` as options.
///
/// # Errors
/// It is too long, or not one line of printable ASCII.
pub fn check_options(text: &[u8]) -> Result<&str, OptionsError> {
    if text.len() > MAX_OPTIONS {
        return Err(OptionsError::TooLong { length: text.len() });
    }
    let is_printable = |byte: &u8| *byte == b' ' || byte.is_ascii_graphic();
    let broken = |at: usize| OptionsError::NotPrintable { at, byte: text[at] };
    match text.iter().position(|byte| !is_printable(byte)) {
        Some(at) => Err(broken(at)),
        None => str::from_utf8(text).map_err(|error| broken(error.valid_up_to())),
    }
}

/// Why a text is not taken as options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the Display text of each variant is its documentation")]
pub enum OptionsError {
    TooLong { length: usize },
    NotPrintable { at: usize, byte: u8 },
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooLong { length } => {
                write!(f, "the options are {length} bytes; there is room for {MAX_OPTIONS}")
            }
            Self::NotPrintable { at, byte } => write!(
                f,
                "the options have the byte {byte:#04x} at {at}: only printable ASCII is taken, in one line"
            ),
        }
    }
}

impl Error for OptionsError {}

#[cfg(test)]
mod tests {
    use std::format;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::layout::{PAGE_SIZE, TRAILER_SIZE};
    use crate::testing::{assembled, assembled_with, image_with, small_sections};

    #[test]
    fn the_guid_is_the_one_the_layout_draws() {
        assert_eq!(format!("{OPTIONS:?}"), "c834c940-a49b-41bf-b9d7-bee3b356a23c");
    }

    #[test]
    fn the_text_is_found_in_the_image_and_from_its_last_bytes() {
        let image = assembled_with(b"k", "accept=lazy log=debug");
        for tail in [image.len(), PAGE_SIZE, TRAILER_SIZE] {
            let found = find_options(&image[image.len() - tail..]);
            assert_eq!(found, Ok("accept=lazy log=debug"));
        }
    }

    #[test]
    fn an_image_without_the_entry_has_no_options() {
        let others = image_with(0x1_0000, &small_sections());
        assert_eq!(find_options(&others), Ok(""));
        let ours = assembled(b"k");
        assert_eq!(find_options(&ours), Ok(""));
        assert!(!ours.windows(16).any(|bytes| bytes == OPTIONS.bytes()));
    }

    #[test]
    fn a_text_that_is_long_or_not_printable_is_refused() {
        let longest = [b'~'; MAX_OPTIONS];
        assert!(check_options(&longest).is_ok());
        let too_long = OptionsError::TooLong { length: 257 };
        assert_eq!(check_options(&[b' '; 257]), Err(too_long));
        for byte in [0, b'\t', b'\n', 0x1F, 0x7F, 0x80, 0xFF] {
            let error = OptionsError::NotPrintable { at: 2, byte };
            assert_eq!(check_options(&[b'a', b' ', byte]), Err(error));
        }
    }

    #[test]
    fn a_broken_text_in_an_image_is_told() {
        let mut image = assembled_with(b"k", "accept=lazy");
        let at = image.windows(6).position(|bytes| bytes == b"accept").unwrap();
        image[at + 6] = b'\n';
        let error = OptionsError::NotPrintable { at: 6, byte: b'\n' };
        assert_eq!(find_options(&image), Err(ImageError::Options(error)));
    }

    proptest! {
        #[test]
        fn every_printable_text_is_found_as_it_was_written(text in "[ -~]{0,256}") {
            let image = assembled_with(b"k", &text);
            prop_assert_eq!(find_options(&image), Ok(&*text));
        }

        #[test]
        fn no_bytes_make_the_search_panic(
            text in "[ -~]{1,64}",
            edits in prop::collection::vec((1_usize..400, any::<u8>()), 0..8),
            noise in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let mut image = assembled_with(b"k", &text);
            let len = image.len();
            for (from_end, byte) in edits {
                image[len - from_end] = byte;
            }
            for tail in [&image, &noise] {
                if let Ok(found) = find_options(tail) {
                    let bytes: Vec<u8> = found.bytes().collect();
                    prop_assert!(bytes.len() <= MAX_OPTIONS);
                    prop_assert!(bytes.iter().all(|byte| (0x20..0x7F).contains(byte)));
                }
            }
        }
    }
}
