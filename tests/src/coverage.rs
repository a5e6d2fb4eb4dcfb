//! `docs/coverage.md`: which status of which leaf a test has seen, from the tables of what the
//! specification documents and the checks that ran.
//!
//! The two sides are checked by tests of their own, so the document has a section for each,
//! between marks; everything else in it is written by hand. `TDLET_RENEW=1` writes the
//! sections instead of comparing them.

mod word;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::{env, fs};

use abi::Status;
use anyhow::{Context, Result, bail};
use conformance::documented::{Documented, Exit, Leaf, OTHER_LEAVES};
use conformance::{Line, Side};

use self::word::word;
use crate::paths;

/// Set to 1, the document is written.
pub const RENEW: &str = "TDLET_RENEW";
const DOCUMENT: &str = "docs/coverage.md";

/// The checks that passed, by leaf and status.
#[derive(Debug)]
pub struct Coverage<'a> {
    side: Side,
    leaves: &'a [Leaf],
    /// Row of `leaves` and status: the names of the checks, each once.
    seen: BTreeMap<(usize, u64), Vec<&'a str>>,
    /// Lines of leaves that are in no row.
    strangers: Vec<Line<'a>>,
}

impl<'a> Coverage<'a> {
    /// Sorts `lines` into the rows of `leaves`. A check that ran in several boots counts once.
    pub fn new(side: Side, leaves: &'a [Leaf], lines: &[Line<'a>]) -> Self {
        let mut coverage = Self { side, leaves, seen: BTreeMap::new(), strangers: Vec::new() };
        for line in lines.iter().filter(|line| line.side == side && line.failure.is_none()) {
            let row = |number| leaves.iter().position(|leaf| leaf.number == number);
            let Some(row) = row(line.leaf).or_else(|| row(OTHER_LEAVES)) else {
                coverage.strangers.push(*line);
                continue;
            };
            let names = coverage.seen.entry((row, line.status.0)).or_default();
            if !names.contains(&line.name) {
                names.push(line.name);
            }
        }
        coverage
    }

    /// What is documented and was not seen, and the reverse.
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> =
            self.strangers.iter().map(|line| format!("no such leaf: {line}")).collect();
        for (row, leaf) in self.leaves.iter().enumerate() {
            for status in leaf.statuses {
                let is_seen = self.seen.contains_key(&(row, status.status.0));
                let name = word(self.side, status.status);
                match status.unreachable {
                    None if !is_seen => problems.push(format!("{}: {name} is not seen", leaf.name)),
                    Some(_) if is_seen => {
                        problems.push(format!("{}: {name} is seen after all", leaf.name));
                    }
                    _ => {}
                }
            }
        }
        for ((row, status), names) in &self.seen {
            let leaf = &self.leaves[*row];
            if leaf.statuses.iter().all(|known| known.status.0 != *status) {
                let name = word(self.side, Status(*status));
                problems.push(format!("{}: {name} is not documented ({})", leaf.name, names[0]));
            }
        }
        problems
    }

    /// The section of the document.
    pub fn section(&self, exits: &[Exit]) -> String {
        let mut text = self.summary();
        for (row, leaf) in self.leaves.iter().enumerate() {
            let number = match leaf.number {
                OTHER_LEAVES => String::new(),
                number => format!(" ({number})"),
            };
            // Writing to a string does not fail.
            let _ = write!(text, "\n### {}{number}\n\n[{}]\n\n", leaf.name, leaf.source);
            text += "| status | when | seen by |\n|---|---|---|\n";
            for status in leaf.statuses {
                let name = word(self.side, status.status);
                let _ = writeln!(
                    text,
                    "| {name} | {} | {} |",
                    cell(status.when),
                    self.witness(row, status)
                );
            }
        }
        if !exits.is_empty() {
            text += "\n### TD exits\n\n| leaves | exit | when | then | seen by |\n|---|---|---|---|---|\n";
        }
        for Exit { leaves, exit, when, then, seen } in exits {
            let seen = match seen {
                Ok(test) => format!("`{test}`"),
                Err(why) => format!("– {why}"),
            };
            let _ = writeln!(text, "| {leaves} | {exit} | {when} | {then} | {seen} |");
        }
        text
    }

    fn summary(&self) -> String {
        let checks: usize = self.seen.values().map(Vec::len).sum();
        let statuses = || self.leaves.iter().flat_map(|leaf| leaf.statuses);
        let unseen = statuses().filter(|status| status.unreachable.is_some()).count();
        format!(
            "{checks} checks see {} of {} statuses of {} leaves; {unseen} can not be reached.\n",
            self.seen.len(),
            statuses().count(),
            self.leaves.iter().filter(|leaf| leaf.number != OTHER_LEAVES).count(),
        )
    }

    fn witness(&self, row: usize, status: &Documented) -> String {
        match (status.unreachable, self.seen.get(&(row, status.status.0)).map(Vec::as_slice)) {
            (Some(why), _) => format!("– {why}"),
            (None, Some([name])) => format!("1: {}", cell(name)),
            (None, Some([name, rest @ ..])) => {
                format!("{}: {}; …", rest.len() + 1, cell(name))
            }
            (None, _) => "–".to_owned(),
        }
    }
}

/// Text that does not end a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Compares a side's section of the document with `section`, or writes it.
///
/// # Errors
/// They differ; or there is no document with marks for this side.
pub fn check_document(side: Side, section: &str) -> Result<()> {
    static WRITER: Mutex<()> = Mutex::new(());
    let _one_at_a_time = WRITER.lock().unwrap_or_else(PoisonError::into_inner);
    let path = paths::root().join(DOCUMENT);
    let document = fs::read_to_string(&path).with_context(|| format!("no {DOCUMENT}"))?;
    let name = match side {
        Side::Guest => "guest",
        Side::Host => "host",
    };
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
    let (head, rest) = document.split_once(&begin).context("the document has no begin mark")?;
    let (current, tail) = rest.split_once(&end).context("the document has no end mark")?;
    let section = format!("\n{section}\n");
    if current == section {
        return Ok(());
    }
    if env::var(RENEW).is_ok_and(|value| value == "1") {
        fs::write(&path, format!("{head}{begin}{section}{end}{tail}"))?;
        return Ok(());
    }
    let differs = current.lines().zip(section.lines()).find(|(old, new)| old != new);
    let (old, new) = differs.unwrap_or(("(its end)", "(its end)"));
    bail!("{DOCUMENT} is old: run this test with {RENEW}=1\n- {old}\n+ {new}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::Operand;
    use conformance::raised;

    const INVALID: Status = Status::OPERAND_INVALID.with_operand(Operand::Rcx);

    const LEAVES: &[Leaf] = &[
        Leaf {
            side: Side::Guest,
            number: 3,
            name: "TDG.X",
            source: "ABI-G 2",
            statuses: &[
                Documented::seen(INVALID, "never"),
                Documented::seen(Status::SUCCESS, "always"),
                Documented::unseen(Status::PENDING_INTERRUPT, "seldom", "no L2"),
            ],
        },
        Leaf {
            side: Side::Guest,
            number: OTHER_LEAVES,
            name: "others",
            source: "ABI-G 1",
            statuses: &[Documented::seen(INVALID, "always")],
        },
    ];

    fn line(leaf: u16, status: Status, name: &str) -> Line<'_> {
        Line { side: Side::Guest, leaf, status, source: "ABI-G 2", name, failure: None }
    }

    fn complete() -> Vec<Line<'static>> {
        vec![line(3, INVALID, "a"), line(3, Status::SUCCESS, "b"), line(77, INVALID, "c")]
    }

    fn problems(lines: &[Line<'_>]) -> Vec<String> {
        Coverage::new(Side::Guest, LEAVES, lines).problems()
    }

    #[test]
    fn what_is_documented_must_be_seen() {
        assert_eq!(problems(&complete()), [""; 0]);
        let missing = problems(&complete()[1..]);
        assert_eq!(missing, ["TDG.X: OPERAND_INVALID, RCX `0xc000010000000001` is not seen"]);
    }

    #[test]
    fn what_can_not_be_reached_must_not_be_seen() {
        let mut lines = complete();
        lines.push(line(3, Status::PENDING_INTERRUPT, "d"));
        assert_eq!(problems(&lines).len(), 1);
    }

    #[test]
    fn what_is_seen_must_be_documented() {
        let mut lines = complete();
        lines.push(line(3, raised(20), "e"));
        assert_eq!(problems(&lines), ["TDG.X: #VE is not documented (e)"]);
    }

    #[test]
    fn a_failure_and_the_other_side_see_nothing() {
        let mut lines = complete();
        lines[0].side = Side::Host;
        assert_eq!(problems(&lines).len(), 1);
        let mut lines = complete();
        let failed = conformance::Failure::Other("no");
        lines[0].failure = Some(conformance::Failed::Found(failed));
        assert_eq!(problems(&lines).len(), 1);
    }

    #[test]
    fn the_section_has_a_row_for_each_status() {
        let mut lines = complete();
        lines.extend([line(3, INVALID, "a"), line(3, INVALID, "x|y")]);
        let text = Coverage::new(Side::Guest, LEAVES, &lines).section(&[]);
        assert!(
            text.starts_with("4 checks see 3 of 4 statuses of 1 leaves; 1 can not be reached.")
        );
        assert!(text.contains("| OPERAND_INVALID, RCX `0xc000010000000001` | never | 2: a; … |"));
        assert!(text.contains("| seldom | – no L2 |"), "{text}");
    }
}
