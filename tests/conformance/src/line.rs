//! The line that a check prints, and how it is read back.
//!
//! ```text
//! conformance: tdg 2 0xc000010000000001 [ABI-G 2.3] ok: RCX is not a multiple of 64
//! conformance: tdg 2 0xc000010000000002 [ABI-G 2.3] FAILED: RDX is 4: gave SUCCESS
//! ```

use core::fmt;

use abi::Status;

use crate::{Check, Failure};

/// Who makes the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A TD, by TDCALL: TDG leaves.
    Guest,
    /// A VMM, by SEAMCALL: TDH leaves.
    Host,
}

impl Side {
    const fn word(self) -> &'static str {
        match self {
            Self::Guest => "tdg",
            Self::Host => "tdh",
        }
    }
}

/// One check's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Who made the call.
    pub side: Side,
    /// RAX bits 15:0 of the call.
    pub leaf: u16,
    /// The status that the check is for.
    pub status: Status,
    /// Where it is specified.
    pub source: &'a str,
    /// The check's name.
    pub name: &'a str,
    /// What went wrong; on the host, the text that was printed.
    pub failure: Option<Failed<'a>>,
}

/// What went wrong, before it was printed and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed<'a> {
    /// Where the check ran.
    Found(Failure),
    /// Where it is read.
    Text(&'a str),
}

const PREFIX: &str = "conformance: ";

impl<'a> Line<'a> {
    /// The line of a check that ran.
    #[must_use]
    pub fn of<P>(side: Side, check: &Check<'a, P>, failure: Option<Failure>) -> Self {
        Self {
            side,
            leaf: check.rax as u16,
            status: check.status,
            source: check.source,
            name: check.name,
            failure: failure.map(Failed::Found),
        }
    }

    /// Reads a line; `None` if it is not one of these.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<Self> {
        let (side, rest) = line.strip_prefix(PREFIX)?.split_once(' ')?;
        let side = [Side::Guest, Side::Host].into_iter().find(|known| known.word() == side)?;
        let (leaf, rest) = rest.split_once(" 0x")?;
        let (status, rest) = rest.split_once(" [")?;
        let (source, rest) = rest.split_once("] ")?;
        let (name, failure) = if let Some(name) = rest.strip_prefix("ok: ") {
            (name, None)
        } else {
            let (name, text) = rest.strip_prefix("FAILED: ")?.split_once(": ")?;
            (name, Some(Failed::Text(text)))
        };
        let status = Status(u64::from_str_radix(status, 16).ok()?);
        Some(Self { side, leaf: leaf.parse().ok()?, status, source, name, failure })
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { side, leaf, status, source, name, failure } = self;
        write!(f, "{PREFIX}{} {leaf} {:#018x} [{source}] ", side.word(), status.0)?;
        match failure {
            None => write!(f, "ok: {name}"),
            Some(Failed::Found(failure)) => write!(f, "FAILED: {name}: {failure}"),
            Some(Failed::Text(text)) => write!(f, "FAILED: {name}: {text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let status = Status::OPERAND_INVALID.with_detail(2);
        let ok = Line {
            side: Side::Guest,
            leaf: 2,
            status,
            source: "ABI-G 2.3",
            name: "RDX is 4",
            failure: None,
        };
        assert_eq!(
            ok.to_string(),
            "conformance: tdg 2 0xc000010000000002 [ABI-G 2.3] ok: RDX is 4"
        );
        assert_eq!(Line::parse(&ok.to_string()), Some(ok));
        let failed = Line { failure: Some(Failed::Found(Failure::Status(Status(0)))), ..ok };
        let text = failed.to_string();
        let read = Line::parse(&text).unwrap();
        assert!(matches!(read.failure, Some(Failed::Text(text)) if text.starts_with("gave ")));
        assert_eq!(Line { failure: None, ..read }, ok);
    }

    #[test]
    fn other_lines_are_none() {
        for line in ["", "conformance: ", "conformance: tdx 1 0x0 [a] ok: b", "ok 1 - conformance"]
        {
            assert_eq!(Line::parse(line), None, "{line}");
        }
    }
}
