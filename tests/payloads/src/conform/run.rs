//! Runs rows and counts them.
//!
//! On the console a table is one line with a [`Mark`] for each row, because each byte of it
//! costs four exits; the names are looked up in the tables by whoever reads the line
//! ([`Marks::parse`]). A row that fails has a [`Line`] of its own before that.
#![expect(unsafe_code, reason = "TDCALLs with any operands")]

use alloc::string::String;
use core::fmt;

use abi::{Regs, Status};
use conformance::{Check, Failure, Line, Side, check};
use kernel::{Verdict, println};
use tdcall::guest::{self, Leaf};

use super::tables::{self, Table};
use super::{Row, World, traps};

/// The run.
#[derive(Debug)]
pub struct Run<'k> {
    /// What the rows act on.
    pub world: World<'k>,
    checks: u32,
    failed: u32,
}

impl<'k> Run<'k> {
    /// Nothing has run yet.
    #[must_use]
    pub const fn new(world: World<'k>) -> Self {
        Self { world, checks: 0, failed: 0 }
    }

    /// Runs the rows of a table that are for this TD, in order, and prints a mark for each.
    pub fn table(&mut self, table: &Table) {
        let mut marks = String::new();
        for row in table.rows {
            let mark = if self.world.is(row.when) { self.marked(row) } else { Mark::NotHere };
            marks.push(mark.into());
        }
        println!("{}", Marks { table: table.name, marks: &marks });
    }

    /// Runs one row; if it fails, its line says how.
    fn marked(&mut self, row: &Row) -> Mark {
        self.checks += 1;
        let Some(failure) = self.row(row) else { return Mark::Passed };
        self.failed += 1;
        println!("{}", Line::of(Side::Guest, &row.check, Some(failure)));
        Mark::Failed
    }

    fn row(&mut self, row: &Row) -> Option<Failure> {
        let world = &mut self.world;
        (row.before)(world);
        // SAFETY: what a leaf writes or takes are pages of the world, where no Rust object
        // is, or it is refused.
        let call = |rax, regs: &mut Regs| unsafe { guest::call(Leaf::from_rax(rax), regs) };
        let (result, trap) = traps::reported(|| check(&row.check, |p| world.resolve(p), call));
        world.trap = trap;
        // Before anything else can raise #VE.
        world.ve = trap.and_then(|_| traps::taken().or_else(|| guest::vp_veinfo_get().ok()));
        match result {
            Err(failure) => Some(failure),
            Ok(regs) => (row.then)(world, &regs).err().map(Failure::Other),
        }
    }

    /// Reports what a typed function of `tdcall::guest` gave: `expected`, or why not.
    pub fn typed<T: PartialEq>(&mut self, what: What, got: &T, expected: &T) {
        let What(leaf, source, name, status) = what;
        let check: Check<'_, ()> =
            Check { name, rax: leaf, source, input: &[], status, output: &[] };
        let failure = (got != expected).then_some(Failure::Other("it gave another value"));
        self.checks += 1;
        self.failed += u32::from(failure.is_some());
        println!("{}", Line::of(Side::Guest, &check, failure));
    }

    /// Prints the sums; the verdict.
    #[must_use]
    pub fn finish(&self) -> Verdict {
        let Self { checks, failed, .. } = self;
        println!("{checks} checks, {failed} failed");
        if *failed == 0 { Verdict::Passed } else { Verdict::CheckFailed }
    }
}

/// What is reported without a row: the leaf, where it is specified, what, in words, and the
/// status.
#[derive(Clone, Copy, Debug)]
pub struct What(pub u64, pub &'static str, pub &'static str, pub Status);

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// `.`: all was as it must be.
    Passed,
    /// `F`: it was not.
    Failed,
    /// `-`: the row is not for this TD.
    NotHere,
}

impl From<Mark> for char {
    fn from(mark: Mark) -> Self {
        match mark {
            Mark::Passed => '.',
            Mark::Failed => 'F',
            Mark::NotHere => '-',
        }
    }
}

/// The line of a table.
///
/// ```text
/// TDG.VP.INVEPT         .........
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks<'a> {
    /// The table's name.
    pub table: &'a str,
    /// A mark for each row.
    pub marks: &'a str,
}

impl<'a> Marks<'a> {
    /// Reads a line: the table, and each row with its mark. `None` if it is no such line.
    pub fn parse(line: &'a str) -> Option<(&'static Table, impl Iterator<Item = (&'a Row, Mark)>)> {
        let (name, marks) = line.rsplit_once(' ')?;
        let is_meant =
            |table: &&Table| table.name == name.trim_end() && table.rows.len() == marks.len();
        let table = tables::ALL.iter().find(is_meant)?;
        let marks = marks.chars().map(|mark| {
            [Mark::Passed, Mark::NotHere].into_iter().find(|known| char::from(*known) == mark)
        });
        let rows = table.rows.iter().zip(marks);
        Some((table, rows.map(|(row, mark)| (row, mark.unwrap_or(Mark::Failed)))))
    }
}

impl fmt::Display for Marks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<22}{}", self.table, self.marks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_table_is_read_back_row_by_row() {
        let table = tables::ALL.last().expect("there are tables");
        let marks: String =
            (0..table.rows.len()).map(|row| if row == 1 { '-' } else { '.' }).collect();
        let line = std::format!("{}", Marks { table: table.name, marks: &marks });
        let (found, rows) = Marks::parse(&line).expect("a line");
        assert_eq!(found.name, table.name);
        let read: String = rows.map(|(_, mark)| char::from(mark)).collect();
        assert_eq!(read, marks);
        assert!(Marks::parse("hello from a trust domain").is_none());
    }
}
