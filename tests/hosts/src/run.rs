//! Runs checks and counts them; a line each on the VMM's log.
#![expect(unsafe_code, reason = "SEAMCALLs with any operands")]

use abi::{Hpa, Regs, Status};
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

    /// A place as an address, for the typed functions.
    #[must_use]
    pub fn address(&self, place: Place) -> Hpa {
        // A pool lies in RAM.
        Hpa::try_new(self.pool.resolve(place)).unwrap_or(Hpa::new(0))
    }

    /// Runs the rows of a table in order.
    pub fn table(&mut self, rows: &[Row<'_>]) {
        for row in rows {
            self.check(row);
        }
    }

    /// Runs one row; gives the registers after the call if all was as it must be.
    pub fn check(&mut self, row: &Row<'_>) -> Option<Regs> {
        let result = check(row, |place| self.pool.resolve(place), call);
        self.print(&Line::of(Side::Host, row, result.err()));
        result.ok()
    }

    /// Reports something that is not a row: a call of `leaf` that should give `status`.
    pub fn report(&mut self, what: &What<'_>, status: Status, failure: Option<Failure>) {
        let What(leaf, source, name) = *what;
        let row = Row { name, rax: leaf, source, input: &[], status, output: &[] };
        self.print(&Line::of(Side::Host, &row, failure));
    }

    /// Reports what a typed function of `tdcall::host` gave: it must be `expected`.
    pub fn typed<T: PartialEq>(
        &mut self,
        what: &What<'_>,
        got: Result<T, impl Into<Refused>>,
        expected: &T,
    ) {
        let failure = match got {
            Err(error) => Some(Failure::Status(error.into().0)),
            Ok(value) if value != *expected => Some(Failure::Other("it gave another value")),
            Ok(_) => None,
        };
        self.report(what, Status::SUCCESS, failure);
    }

    /// Reports whether what a leaf did is what it should have done.
    pub fn holds(&mut self, what: &What<'_>, holds: bool) {
        self.report_as(what, Status::SUCCESS, holds);
    }

    /// [`Self::holds`] of a call that gave `status`.
    pub fn report_as(&mut self, what: &What<'_>, status: Status, holds: bool) {
        let failure = (!holds).then_some(Failure::Other("it is not so"));
        self.report(what, status, failure);
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

/// A SEAMCALL with these registers, which name nothing but the pool.
pub(crate) fn call(rax: u64, regs: &mut Regs) -> Status {
    // SAFETY: what a leaf takes or writes lies in the pool, where no Rust object is, or is
    // refused; a TD is given nothing else.
    unsafe { host::call(Leaf::from_rax(rax), regs) }
}

/// What is reported without a row: the leaf, where it is specified, and what, in words.
#[derive(Clone, Copy, Debug)]
pub struct What<'a>(pub u64, pub &'a str, pub &'a str);

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
