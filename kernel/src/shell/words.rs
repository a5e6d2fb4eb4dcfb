//! The words of a line: what a command is given.

use core::fmt;

/// The words behind a command's name.
#[derive(Clone, Debug)]
pub(super) struct Words<'a> {
    rest: core::str::SplitAsciiWhitespace<'a>,
}

/// Why a command does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Complaint<'a> {
    /// A word is missing; this is what it would have been.
    Missing(&'static str),
    /// A word is not what it must be.
    Bad(&'a str, &'static str),
    /// There are more words than the command takes.
    TooMany(&'a str),
}

impl<'a> Words<'a> {
    /// The first word of a line, and those behind it.
    #[must_use]
    pub(super) fn of(line: &'a str) -> Option<(&'a str, Self)> {
        let mut rest = line.split_ascii_whitespace();
        let first = rest.next()?;
        Some((first, Self { rest }))
    }

    /// The next word, if there is one.
    pub(super) fn next(&mut self) -> Option<&'a str> {
        self.rest.next()
    }

    /// The next word as a number, hexadecimal with `0x`, of at most `bits` bits.
    ///
    /// # Errors
    /// There is none; it is no such number.
    pub(super) fn number(&mut self, what: &'static str, bits: u32) -> Result<u64, Complaint<'a>> {
        let word = self.next().ok_or(Complaint::Missing(what))?;
        let number = number(word).filter(|number| bits >= 64 || number >> bits == 0);
        number.ok_or(Complaint::Bad(word, what))
    }

    /// As [`Self::number`], or `otherwise` if there is no word.
    ///
    /// # Errors
    /// It is no such number.
    pub(super) fn number_or(
        &mut self,
        what: &'static str,
        bits: u32,
        otherwise: u64,
    ) -> Result<u64, Complaint<'a>> {
        if self.clone().next().is_none() { Ok(otherwise) } else { self.number(what, bits) }
    }

    /// There is no further word.
    ///
    /// # Errors
    /// There is one.
    pub(super) fn end(mut self) -> Result<(), Complaint<'a>> {
        self.next().map_or(Ok(()), |word| Err(Complaint::TooMany(word)))
    }
}

/// Decimal, or hexadecimal with `0x`.
fn number(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        // `from_str_radix` takes a sign.
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
            u64::from_str_radix(digits, 16).ok()
        }
        None if word.bytes().all(|digit| digit.is_ascii_digit()) => word.parse().ok(),
        _ => None,
    }
}

impl fmt::Display for Complaint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) => write!(f, "{what} is missing"),
            Self::Bad(word, what) => write!(f, "{word} is not {what}"),
            Self::TooMany(word) => write!(f, "what is {word} for?"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Words<'_> {
        Words::of(line).unwrap().1
    }

    #[test]
    fn numbers_are_decimal_or_hexadecimal() {
        let mut words = words("in 0x3f8 80 0xFFFFFFFFFFFFFFFF");
        assert_eq!(words.number("a port", 16), Ok(0x3F8));
        assert_eq!(words.number("a port", 16), Ok(80));
        assert_eq!(words.number("a value", 64), Ok(u64::MAX));
        assert_eq!(words.number("a value", 64), Err(Complaint::Missing("a value")));
        assert_eq!(words.number_or("a width", 8, 4), Ok(4));
        assert_eq!(words.end(), Ok(()));
    }

    #[test]
    fn what_is_no_number_is_told() {
        for bad in ["-1", "+1", "0x", "0x+1", "1k", "65536", "0x1_0", "99999999999999999999"] {
            let line = std::format!("in {bad}");
            let expected = Err(Complaint::Bad(bad, "a port"));
            assert_eq!(words(&line).number("a port", 16), expected, "{bad}");
        }
        assert_eq!(words("td x").end(), Err(Complaint::TooMany("x")));
        assert!(Words::of("  ").is_none());
    }
}
