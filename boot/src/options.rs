//! The options in the image, as far as they are boot's: when memory is accepted.
//!
//! Words separated by spaces; what is not known here is the kernel's.

use core::fmt;

/// Which memory boot accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// All, before the kernel starts: `accept=eager`. So it is, too, if nothing is said:
    /// a kernel that does not know trust domains takes usable memory for usable.
    All,
    /// What boot needs itself: `accept=lazy` and `accept=background`. The rest is the
    /// kernel's to accept.
    AsNeeded,
}

/// What `text` says about acceptance.
///
/// # Errors
/// It says what boot does not know, or says it twice.
pub fn acceptance(text: &str) -> Result<Acceptance, OptionError<'_>> {
    let mut values = text.split(' ').filter_map(|word| word.strip_prefix("accept="));
    let Some(value) = values.next() else { return Ok(Acceptance::All) };
    if values.next().is_some() {
        return Err(OptionError::Twice);
    }
    match value {
        "eager" => Ok(Acceptance::All),
        "lazy" | "background" => Ok(Acceptance::AsNeeded),
        _ => Err(OptionError::Unknown(value)),
    }
}

/// Why the options are refused. The image's maker is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the Display text of each variant is its documentation")]
pub enum OptionError<'a> {
    Unknown(&'a str),
    Twice,
}

impl fmt::Display for OptionError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(value) => {
                write!(f, "accept={value} is not known: use lazy, eager or background")
            }
            Self::Twice => f.write_str("accept= is there twice"),
        }
    }
}

impl core::error::Error for OptionError<'_> {}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn one_word_says_what_is_accepted() {
        for (text, expected) in [
            ("", Acceptance::All),
            ("accept=eager", Acceptance::All),
            ("log=debug xaccept=lazy", Acceptance::All),
            ("accept=lazy", Acceptance::AsNeeded),
            ("  log=debug   accept=background x", Acceptance::AsNeeded),
        ] {
            assert_eq!(acceptance(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_value_that_is_not_known_is_told() {
        for value in ["", "Lazy", "lazy,eager", "sometimes"] {
            let text = std::format!("a accept={value} b");
            assert_eq!(acceptance(&text), Err(OptionError::Unknown(value)));
        }
        let error = OptionError::Unknown("no").to_string();
        assert_eq!(error, "accept=no is not known: use lazy, eager or background");
        assert_eq!(acceptance("accept=lazy accept=lazy"), Err(OptionError::Twice));
    }
}
