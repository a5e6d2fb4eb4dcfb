//! Runs checks and counts them; a line each on the VMM's log.
#![expect(unsafe_code, reason = "SEAMCALLs with any operands")]

use abi::{Regs, Status};
use conformance::{Check, Failure, Line, Side, check};
use tdcall::host::{self, Leaf};

use crate::bare;
use crate::place::{Place, Pool};

/// A row of a table.
pub type Row<'a> = Check<'a, Place>;

/// The run.
#[derive(Debug)]
pub struct Run {
    /// The memory that the rows name.
    pub pool: Pool,
    checks: u32,
    failed: u32,
}

impl Run {
    /// Nothing has run yet.
    #[must_use]
    pub const fn new(pool: Pool) -> Self {
        Self { pool, checks: 0, failed: 0 }
    }

    /// Runs the rows of a table in order.
    pub fn table(&mut self, rows: &[Row<'_>]) {
        for row in rows {
            self.check(row);
        }
    }

    /// Runs one row; gives the registers after the call if all was as it must be.
    pub fn check(&mut self, row: &Row<'_>) -> Option<Regs> {
        // SAFETY: what a leaf takes or writes lies in the pool, where no Rust object is, or
        // is refused; a TD is given nothing else.
        let call = |rax, regs: &mut Regs| unsafe { host::call(Leaf::from_rax(rax), regs) };
        let result = check(row, |place| self.pool.resolve(place), call);
        self.print(&Line::of(Side::Host, row, result.err()));
        result.ok()
    }

    /// Reports what a typed function of `tdcall::host` gave, or another thing that is not a
    /// row: `leaf` should have given `status`.
    pub fn report(&mut self, what: &What<'_>, failure: Option<Failure>) {
        let row = Row {
            name: what.name,
            rax: what.leaf,
            source: what.source,
            input: &[],
            status: what.status,
            output: &[],
        };
        self.print(&Line::of(Side::Host, &row, failure));
    }

    /// [`Self::report`] of a typed function that must succeed with `expected`.
    pub fn typed<T: PartialEq, E: Into<Refused>>(
        &mut self,
        what: &What<'_>,
        got: Result<T, E>,
        expected: &T,
    ) {
        let failure = match got {
            Err(error) => Some(Failure::Status(error.into().0)),
            Ok(value) if value != *expected => Some(Failure::Other("it gave another value")),
            Ok(_) => None,
        };
        self.report(what, failure);
    }

    fn print(&mut self, line: &Line<'_>) {
        self.checks += 1;
        self.failed += u32::from(line.failure.is_some());
        bare::line(format_args!("{line}"));
    }

    /// Prints the sums; whether nothing failed.
    #[must_use]
    pub fn finish(&self) -> bool {
        let Self { checks, failed, .. } = self;
        bare::log(format_args!("{checks} checks, {failed} failed"));
        *failed == 0
    }
}

/// What is reported without a row.
#[derive(Clone, Copy, Debug)]
pub struct What<'a> {
    /// In words.
    pub name: &'a str,
    /// RAX.
    pub leaf: u64,
    /// Where it is specified.
    pub source: &'a str,
    /// RAX afterwards.
    pub status: Status,
}

/// The status of an error of `tdcall::host`.
#[derive(Clone, Copy, Debug)]
pub struct Refused(pub Status);

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        Self(status)
    }
}

impl From<host::LeafError> for Refused {
    fn from(error: host::LeafError) -> Self {
        Self(error.status)
    }
}
