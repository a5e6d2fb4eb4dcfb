//! Conformance of the guest leaves, inside a TD: tables of calls, a file a leaf.
//!
//! A [`Row`] is a call with every register known before and after it ([`Check`]); the
//! numbers that only the running TD knows are [`Place`]s. Rows follow the check order of
//! the specification: with two faults at once, the first check answers. A row that needs
//! more than registers has a step before it, and a look at memory, at a #VE or at a later
//! call after it.
//!
//! A trap at the TDCALL is answered by [`traps`] as a status, [`conformance::raised`], so
//! that #VE, #GP and #DF are rows as well.

mod layout;
pub mod modes;
mod place;
mod run;
pub mod tables;
mod target;
mod traps;
pub mod typed;
pub mod typed_busy;
mod world;

pub use self::place::Place;
pub use self::run::{Mark, Marks, Run};
pub use self::world::World;

use abi::{Gpr, Regs, Status};
use conformance::{Check, Value};

/// Where a row runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// In every TD.
    Always,
    /// TD_CTLS.PENDING_VE_DISABLE is 0: a touch of a pending page is a #VE.
    PendingVe,
    /// It is 1: such a touch is a TD exit.
    PendingExit,
    /// The GPA width is 48.
    Width48,
    /// The GPA width is 52.
    Width52,
    /// The VMM adds pages of 4 KiB alone.
    Small,
    /// The VMM adds a page of 2 MiB when one is accepted.
    Large,
    /// The module answers as if something were in use: see [`World::expect_busy`].
    Busy,
    /// The VMM goes on after a cross-TD trap, and the TD's root page was found.
    CrossTd,
}

/// Prepares a row.
type Before = fn(&mut World<'_>);
/// Looks further, when the registers were right.
type Then = fn(&mut World<'_>, &Regs) -> Result<(), &'static str>;

/// A row of a table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The call.
    pub check: Check<'static, Place>,
    when: When,
    before: Before,
    then: Then,
}

/// A register and what it holds.
type Operand = (Gpr, Value<Place>);

impl Row {
    /// A call and what must come of it.
    const fn new(
        (source, rax): (&'static str, u64),
        name: &'static str,
        input: &'static [Operand],
        status: Status,
        output: &'static [Operand],
    ) -> Self {
        let check = Check { name, rax, source, input, status, output };
        Self { check, when: When::Always, before: |_| (), then: |_, _| Ok(()) }
    }

    /// The same with another RAX.
    const fn rax(mut self, rax: u64) -> Self {
        self.check.rax = rax;
        self
    }

    /// The same, in some TDs alone.
    const fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    /// The same after a step.
    const fn after(mut self, before: Before) -> Self {
        self.before = before;
        self
    }

    /// The same with a look at more than registers.
    const fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }
}
