//! The kernel's options: words in the image, and so measured.
//!
//! | word | meaning |
//! |---|---|
//! | `accept=lazy\|eager\|background` | when memory is accepted; boot reads it, too |
//! | `quiet` | of the checks' steps only those that fail are shown |
//! | `filter=WORD` | only checks with WORD in their name are made |
//! | `shell` | commands are taken from the console instead |

use core::fmt;

/// The most bytes of text.
pub const MAX_BYTES: usize = 256;

/// The words, for whoever wrote another one.
const KNOWN: &str = "accept=lazy|eager|background, quiet, filter=WORD, shell";

/// When memory is accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acceptance {
    /// All of it by boot.
    #[default]
    Eager,
    /// By the kernel, at the first allocation that reaches it.
    Lazy,
    /// The same, and a unit of 2 MiB each time the kernel idles.
    Background,
}

/// The options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options<'a> {
    /// When memory is accepted.
    pub acceptance: Acceptance,
    /// Steps of checks that hold are not shown.
    pub is_quiet: bool,
    /// Only checks with this in their name are made.
    pub filter: &'a str,
    /// Commands are taken from the console.
    pub is_shell: bool,
}

impl<'a> Options<'a> {
    /// Reads words separated by spaces. What is not said is the default.
    ///
    /// # Errors
    /// A word is not known, or the text is not printable ASCII.
    pub fn parse(text: &'a [u8]) -> Result<Self, OptionError<'a>> {
        let is_text = text.len() <= MAX_BYTES
            && text.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
        let text = str::from_utf8(text).ok().filter(|_| is_text).ok_or(OptionError::NoText)?;
        let mut options = Self::default();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            match word.split_once('=') {
                Some(("accept", "eager")) => options.acceptance = Acceptance::Eager,
                Some(("accept", "lazy")) => options.acceptance = Acceptance::Lazy,
                Some(("accept", "background")) => options.acceptance = Acceptance::Background,
                Some(("filter", name)) => options.filter = name,
                None if word == "quiet" => options.is_quiet = true,
                None if word == "shell" => options.is_shell = true,
                _ => return Err(OptionError::Unknown(word)),
            }
        }
        Ok(options)
    }
}

/// Why options are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionError<'a> {
    /// Not printable ASCII, or too long.
    NoText,
    /// This word is not known.
    Unknown(&'a str),
}

impl fmt::Display for OptionError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoText => write!(f, "the options are not {MAX_BYTES} bytes of printable ASCII"),
            Self::Unknown(word) => {
                write!(f, "option {word:?} is not known; there are {KNOWN}")
            }
        }
    }
}

impl core::error::Error for OptionError<'_> {}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use proptest::prelude::*;

    use super::*;

    fn acceptance(text: &str) -> Acceptance {
        Options::parse(text.as_bytes()).unwrap().acceptance
    }

    #[test]
    fn each_way_of_acceptance_is_understood() {
        assert_eq!(acceptance(""), Acceptance::Eager);
        assert_eq!(acceptance("accept=eager"), Acceptance::Eager);
        assert_eq!(acceptance("  accept=lazy "), Acceptance::Lazy);
        assert_eq!(acceptance("accept=background"), Acceptance::Background);
        assert_eq!(acceptance("accept=eager accept=lazy"), Acceptance::Lazy);
    }

    #[test]
    fn checks_can_be_chosen_and_their_steps_hidden() {
        let options = Options::parse(b"quiet filter=io-").unwrap();
        assert_eq!((options.is_quiet, options.filter), (true, "io-"));
        assert_eq!((Options::default().is_quiet, Options::default().filter), (false, ""));
    }

    #[test]
    fn an_unknown_word_is_named_with_those_that_are_known() {
        for word in ["accept", "accept=", "accept=Lazy", "acceptance=lazy", "quiet=", "loud"] {
            let text = std::format!("accept=lazy {word}");
            let error = Options::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error, OptionError::Unknown(word));
            assert!(error.to_string().contains(word));
            assert!(error.to_string().contains("accept=lazy|eager|background"));
        }
    }

    #[test]
    fn what_is_no_line_of_text_is_refused() {
        for text in [&b"accept=lazy\n"[..], b"\xFF", b"\0", &[b' '; MAX_BYTES + 1]] {
            assert_eq!(Options::parse(text), Err(OptionError::NoText));
        }
        assert_eq!(Options::parse(&[b' '; MAX_BYTES]), Ok(Options::default()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Options::parse(&bytes);
        }
    }
}
