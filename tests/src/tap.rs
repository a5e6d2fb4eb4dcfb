//! The kernel's TAP 14 stream, line by line as it arrives. [TAP 14]
//!
//! What comes out is strict whatever comes in: the version is the first line, lines before it,
//! and lines that are none of TAP's, become comments; a result that is out of order, or that the plan does
//! not have, is a comment too and counts as a failure; an end before the plan is fulfilled is
//! a `Bail out!`. The console is the trust domain's, so any bytes may come.

use std::io::{self, Write};

/// The first line of a stream.
const VERSION: &str = "TAP version 14";
/// More characters of one line are dropped.
const LINE_MAX: usize = 4096;

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// `ok`.
    Passed,
    /// `ok … # SKIP`, and why.
    Skipped(String),
    /// `not ok`, and the lines of its YAML block.
    Failed(String),
}

/// One result line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The name behind the number.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What the stream said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Results {
    /// How many checks were planned; `None` if there was no plan.
    pub planned: Option<usize>,
    /// The checks, in order.
    pub checks: Vec<Check>,
    /// The first line that contradicts the protocol.
    pub broken: Option<String>,
}

impl Results {
    /// Whether every planned check came, and none failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        let failed = |check: &Check| matches!(check.outcome, Outcome::Failed(_));
        self.is_complete() && !self.checks.iter().any(failed)
    }

    /// Whether as many checks came as were planned, and nothing was broken.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.broken.is_none() && self.planned == Some(self.checks.len())
    }
}

/// Where in the stream the next line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the version line.
    Before,
    /// Among results.
    Results,
    /// Behind a failed result, where a YAML block may begin.
    Failed,
    /// In a YAML block.
    Block,
}

/// Reads a console and writes TAP.
#[derive(Debug)]
pub struct Stream<W> {
    to: W,
    place: Place,
    has_begun: bool,
    line: Vec<u8>,
    results: Results,
}

impl<W: Write> Stream<W> {
    /// A stream that goes on to `to`.
    pub const fn new(to: W) -> Self {
        let results = Results { planned: None, checks: Vec::new(), broken: None };
        Self { to, place: Place::Before, has_begun: false, line: Vec::new(), results }
    }

    /// Ends the stream. `death` says why the trust domain did not end by itself, if so.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self, death: Option<&str>) -> io::Result<Results> {
        if !self.line.is_empty() {
            self.take_line()?;
        }
        if self.place == Place::Block {
            writeln!(self.to, "  ...")?;
        }
        self.begin()?;
        let is_complete = self.results.is_complete();
        match death {
            Some(reason) => writeln!(self.to, "Bail out! {}", printable(reason))?,
            None if !is_complete => writeln!(self.to, "Bail out! the console ends too early")?,
            None => {}
        }
        self.to.flush()?;
        Ok(self.results)
    }

    fn take_line(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.line);
        let line = printable(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']));
        self.on_line(&line)
    }

    /// The version comes first.
    fn begin(&mut self) -> io::Result<()> {
        if !self.has_begun {
            self.has_begun = true;
            writeln!(self.to, "{VERSION}")?;
        }
        Ok(())
    }

    fn on_line(&mut self, line: &str) -> io::Result<()> {
        self.begin()?;
        let place = self.place;
        match place {
            Place::Before if line == VERSION => {
                self.place = Place::Results;
                Ok(())
            }
            Place::Failed if line == "  ---" => {
                self.place = Place::Block;
                writeln!(self.to, "{line}")
            }
            Place::Block => self.in_block(line),
            Place::Results | Place::Failed if self.is_result_or_plan(line) => {
                writeln!(self.to, "{line}")
            }
            _ if line.starts_with('#') => writeln!(self.to, "{line}"),
            _ if line.is_empty() => Ok(()),
            _ => writeln!(self.to, "# {line}"),
        }
    }

    fn in_block(&mut self, line: &str) -> io::Result<()> {
        if line == "  ..." {
            self.place = Place::Results;
        } else if !line.starts_with("  ") {
            // The block was cut off.
            self.place = Place::Results;
            writeln!(self.to, "  ...")?;
            self.broken(line);
            return self.on_line(line);
        } else if let Some(Check { outcome: Outcome::Failed(text), .. }) =
            self.results.checks.last_mut()
        {
            text.push_str(line.trim_start());
            text.push('\n');
        }
        writeln!(self.to, "{line}")
    }

    /// Takes a plan or a result in; false if it is neither, or not one that may come now.
    fn is_result_or_plan(&mut self, line: &str) -> bool {
        if let Some(count) = line.strip_prefix("1..") {
            let count = count.parse().ok().filter(|_| self.results.planned.is_none());
            if count.is_none() {
                self.broken(line);
                return false;
            }
            self.results.planned = count;
            return true;
        }
        let Some((is_ok, rest)) = result(line) else { return false };
        let number = self.results.checks.len() + 1;
        let is_planned = self.results.planned.is_some_and(|planned| number <= planned);
        let rest = rest.strip_prefix(&format!("{number} - ")).filter(|_| is_planned);
        let Some(rest) = rest else {
            self.broken(line);
            return false;
        };
        let (name, directive) = rest.split_once(" # ").unwrap_or((rest, ""));
        let outcome = match (is_ok, directive.strip_prefix("SKIP")) {
            (true, Some(reason)) => Outcome::Skipped(reason.trim().to_owned()),
            (true, None) => Outcome::Passed,
            (false, _) => Outcome::Failed(String::new()),
        };
        self.place = if is_ok { Place::Results } else { Place::Failed };
        self.results.checks.push(Check { name: name.to_owned(), outcome });
        true
    }

    fn broken(&mut self, line: &str) {
        self.results.broken.get_or_insert_with(|| line.to_owned());
    }
}

/// `ok` or `not ok`, and what follows.
fn result(line: &str) -> Option<(bool, &str)> {
    let ok = line.strip_prefix("ok ").map(|rest| (true, rest));
    ok.or_else(|| line.strip_prefix("not ok ").map(|rest| (false, rest)))
}

/// The text without control characters, and not too long.
fn printable(text: &str) -> String {
    text.chars().take(LINE_MAX).map(|c| if c.is_control() { '?' } else { c }).collect()
}

impl<W: Write> Write for Stream<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for &byte in bytes {
            if byte == b'\n' {
                self.take_line()?;
            } else if self.line.len() < LINE_MAX {
                self.line.push(byte);
            }
        }
        self.to.flush()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn stream(console: &[u8], death: Option<&str>) -> (String, Results) {
        let mut out = Vec::new();
        let mut stream = Stream::new(&mut out);
        stream.write_all(console).unwrap();
        let results = stream.finish(death).unwrap();
        (String::from_utf8(out).unwrap(), results)
    }

    const GOOD: &str = "boot: hello\nTAP version 14\r\n1..3\n# a step\nok 1 - a\n\
                        ok 2 - b # SKIP no b here\nnot ok 3 - c\n  ---\n  step: \"x\"\n  ...\n";

    #[test]
    fn a_good_stream_goes_through_and_is_read() {
        let (out, results) = stream(GOOD.as_bytes(), None);
        let rest = GOOD.replace("boot: hello\nTAP version 14\r\n", "");
        assert_eq!(out, format!("TAP version 14\n# boot: hello\n{rest}"));
        assert_eq!(results.planned, Some(3));
        assert!(results.is_complete() && !results.passed());
        let check = |name: &str, outcome| Check { name: name.into(), outcome };
        let expected = [
            check("a", Outcome::Passed),
            check("b", Outcome::Skipped("no b here".into())),
            check("c", Outcome::Failed("step: \"x\"\n".into())),
        ];
        assert_eq!(results.checks, expected);
    }

    #[test]
    fn a_stream_without_failures_passes() {
        let (_, results) = stream(b"TAP version 14\n1..1\nok 1 - a\n", None);
        assert!(results.passed());
    }

    #[test]
    fn an_end_before_the_plan_is_fulfilled_is_a_bail_out() {
        let (out, results) = stream(b"TAP version 14\n1..2\nok 1 - a\n", None);
        assert!(out.ends_with("Bail out! the console ends too early\n"), "{out}");
        assert!(!results.passed());
        let (out, _) =
            stream(b"TAP version 14\n1..2\nnot ok 1 - a\n  ---\n  x: 1", Some("it died"));
        assert!(out.ends_with("  x: 1\n  ...\nBail out! it died\n"), "{out}");
        let (out, results) = stream(b"", Some("QEMU failed"));
        assert_eq!(out, "TAP version 14\nBail out! QEMU failed\n");
        assert!(!results.passed());
    }

    #[test]
    fn what_contradicts_the_protocol_is_a_comment_and_a_failure() {
        for bad in ["ok 2 - late\n", "ok 1 - a\nok 1 - a\n", "1..7\n", "ok 1 - a\nok 2 - b\n"] {
            let (out, results) = stream(format!("TAP version 14\n1..1\n{bad}").as_bytes(), None);
            assert!(results.broken.is_some() && !results.passed(), "{out}");
            assert_eq!(out.matches("\n1..").count(), 1, "{out}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_console_says_every_line_is_one_of_taps(
            lines in prop::collection::vec(prop_oneof![
                Just("TAP version 14".to_owned()), Just("1..3".to_owned()),
                Just("ok 1 - a".to_owned()), Just("not ok 1 - a".to_owned()),
                Just("ok 2 - b # SKIP".to_owned()), Just("  ---".to_owned()),
                Just("  ...".to_owned()), Just("  k: v".to_owned()), ".{0,20}",
            ], 0..20),
        ) {
            let (out, results) = stream(lines.join("\n").as_bytes(), None);
            prop_assert_eq!(out.lines().filter(|line| *line == VERSION).count(), 1);
            let mut number = 0;
            let mut in_block = false;
            for line in out.lines() {
                if in_block {
                    prop_assert!(line.starts_with("  "), "{}", out);
                    in_block = line != "  ...";
                    continue;
                }
                if result(line).is_some() {
                    number += 1;
                }
                in_block = line == "  ---";
                prop_assert!(
                    in_block || result(line).is_some() || line.starts_with('#')
                        || line == VERSION || line == "1..3" || line.starts_with("Bail out! "),
                    "{}", out
                );
            }
            prop_assert!(!in_block);
            prop_assert_eq!(number, results.checks.len());
        }
    }
}
