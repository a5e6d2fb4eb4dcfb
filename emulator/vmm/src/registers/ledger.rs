//! The book of what the VMM saw: a row for each kind of exit.

use core::fmt;

use abi::ExitReason;
use abi::exit::VmcallMask;

use super::call::Function;

/// Rows that are kept; a TD that calls more functions than there are has the rest counted
/// as lost.
const ROWS: usize = 64;

/// A kind of exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A VP.VMCALL, by function and mask.
    Vmcall(Function, VmcallMask),
    /// An asynchronous exit.
    Async(ExitReason),
}

/// What was seen of one kind.
#[derive(Clone, Copy, Debug)]
struct Row {
    kind: Kind,
    seen: u64,
    leaked: u32,
}

/// The rows.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    rows: [Option<Row>; ROWS],
    lost: u64,
}

impl Ledger {
    pub(super) const fn new() -> Self {
        Self { rows: [None; ROWS], lost: 0 }
    }

    /// Enters an exit; true if a register leaked that had not before.
    pub(super) fn enter(&mut self, kind: Kind, leaked: u32) -> bool {
        let is_its = |row: &&mut Option<Row>| row.is_none_or(|row| row.kind == kind);
        let Some(row) = self.rows.iter_mut().find(is_its) else {
            self.lost += 1;
            return leaked != 0;
        };
        let row = row.get_or_insert(Row { kind, seen: 0, leaked: 0 });
        let is_new = leaked & !row.leaked != 0;
        row.seen += 1;
        row.leaked |= leaked;
        is_new
    }

    /// Logs it, a line a row.
    pub(super) fn log(&self) {
        for row in self.rows.iter().flatten() {
            log::info!("{row}");
        }
        if self.lost != 0 {
            log::info!("{} exits of other kinds were not noted", self.lost);
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} seen {} leaked {:#x}", self.kind, self.seen, self.leaked)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vmcall(function, mask) => write!(f, "vmcall {function} mask {:#x}", mask.0),
            Self::Async(reason) => write!(f, "exit {}", reason.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn a_row_is_a_function_with_a_mask() {
        let mut ledger = Ledger::new();
        let call = |mask| Kind::Vmcall(Function::Write(0x1E), VmcallMask(mask));
        assert!(!ledger.enter(call(0xFC00), 0));
        assert!(ledger.enter(call(0xFC00), 4));
        assert!(!ledger.enter(call(0xFC00), 4), "that is known");
        assert!(ledger.enter(call(0xFC20), 1 << 31));
        assert!(!ledger.enter(Kind::Async(ExitReason::EPT_VIOLATION), 0));
        let lines: std::vec::Vec<_> =
            ledger.rows.iter().flatten().map(|row| format!("{row}")).collect();
        let expected = [
            "vmcall 0x1e write mask 0xfc00 seen 3 leaked 0x4",
            "vmcall 0x1e write mask 0xfc20 seen 1 leaked 0x80000000",
            "exit 48 seen 1 leaked 0x0",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_td_that_calls_everything_is_counted() {
        let mut ledger = Ledger::new();
        for number in 0..100 {
            ledger.enter(Kind::Vmcall(Function::Standard(number), VmcallMask(0)), 0);
        }
        assert_eq!(ledger.lost, 100 - ROWS as u64);
    }
}
