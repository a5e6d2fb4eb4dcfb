//! Accepts memory that the TD HOB lists: all of it, or piece by piece what boot uses.
//!
//! How pages are accepted is `tdcall`'s; here it is said which. A page that the TD HOB calls
//! unaccepted and that boot did not accept itself must not be accepted already: the VMM would
//! have listed a range twice, and an accept of the second one would hide that pages hold
//! somebody's content. So that answer stops the boot. [TDVF 12.2]

use core::fmt;

use abi::{GpaWidth, PageLevel};
use tdcall::accept::{Accept, AcceptError, Accepted, accept_range};

use crate::ram::{RamList, Range, State};

/// What is accepted at a time, where nobody wants more: an aligned piece of 2 MiB, as far as
/// it is memory.
pub const UNIT: u64 = PageLevel::Size2M.bytes();

/// Accepts memory and counts it.
pub struct Acceptor<'a> {
    td: &'a mut dyn Accept,
    width: GpaWidth,
    total: Accepted,
}

impl<'a> Acceptor<'a> {
    /// Accepts by `td`, in a trust domain with addresses of `width`.
    #[must_use]
    pub fn new(td: &'a mut dyn Accept, width: GpaWidth) -> Self {
        Self { td, width, total: Accepted::default() }
    }

    /// What was accepted so far.
    #[must_use]
    pub const fn total(&self) -> Accepted {
        self.total
    }

    /// Accepts all memory of `ram` that is not.
    ///
    /// # Errors
    /// At the first page that cannot be accepted.
    pub fn accept_all(&mut self, ram: &mut RamList) -> Result<(), AcceptError> {
        ram.ranges_mut().iter_mut().try_for_each(|range| self.accept(range, range.end))
    }

    /// Accepts `range` from its start up to `end`, and on to the end of that unit, as far as
    /// it is not accepted.
    ///
    /// # Errors
    /// At the first page that cannot be accepted. The range counts as it did before.
    pub fn accept(&mut self, range: &mut Range, end: u64) -> Result<(), AcceptError> {
        let State::Free { accepted_end } = &mut range.state else { return Ok(()) };
        if end <= *accepted_end {
            return Ok(());
        }
        // Memory lies below 2^52.
        let end = end.next_multiple_of(UNIT).min(range.end);
        accept_range(self.td, *accepted_end..end, self.width, &mut self.total)?;
        *accepted_end = end;
        Ok(())
    }
}

impl fmt::Debug for Acceptor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("total", &self.total).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use abi::PrivateGpa;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Module, unaccepted};

    #[test]
    fn all_memory_of_the_list_is_accepted() {
        let mut ram = unaccepted(&[(0x10_0000, 0x50_0000), (0x100_0000, 0x20_0000)]);
        assert_eq!(ram.unaccepted_bytes(), 0x70_0000);
        let mut module = Module::default();
        let mut acceptor = Acceptor::new(&mut module, GpaWidth::Bits48);
        acceptor.accept_all(&mut ram).unwrap();
        assert_eq!(acceptor.total(), Accepted { large: 3, small: 256 });
        assert_eq!(ram.unaccepted_bytes(), 0);
    }

    #[test]
    fn a_page_that_is_accepted_already_stops_the_boot() {
        let mut ram = unaccepted(&[(0x20_0000, 0x20_0000), (0x60_0000, 0x20_0000)]);
        let mut module = Module { accepted: [0x600].into() };
        let error = Acceptor::new(&mut module, GpaWidth::Bits48).accept_all(&mut ram).unwrap_err();
        assert_eq!(error, AcceptError::AlreadyAccepted { gpa: PrivateGpa::new(0x60_0000) });
        assert_eq!(ram.unaccepted_bytes(), 0x20_0000);
    }

    #[test]
    fn a_piece_is_accepted_to_the_end_of_its_unit() {
        let mut ram = unaccepted(&[(0x10_1000, 0x4F_F000)]);
        let range = &mut ram.ranges_mut()[0];
        let mut module = Module::default();
        let mut acceptor = Acceptor::new(&mut module, GpaWidth::Bits48);
        let mut accepted_end = |end| {
            acceptor.accept(range, end).unwrap();
            let State::Free { accepted_end } = range.state else { panic!("our own") };
            accepted_end
        };
        assert_eq!(accepted_end(0x10_1000), 0x10_1000);
        assert_eq!(accepted_end(0x10_2000), 0x20_0000);
        assert_eq!(accepted_end(0x20_0000), 0x20_0000);
        assert_eq!(accepted_end(0x40_0001), 0x60_0000);
        assert_eq!(module.accepted.len(), 0x4FF);
    }

    proptest! {
        #[test]
        fn in_any_order_every_page_is_accepted_once(
            start in 0_u64..1024, pages in 1_u64..4096,
            ends in prop::collection::vec(0_u64..5120, 0..12),
        ) {
            let base = 0x100_0000 + (start << 12);
            let mut ram = unaccepted(&[(base, pages << 12)]);
            let range = ram.ranges_mut().iter_mut().find(|range| range.start == base).unwrap();
            let end = range.end;
            // The module refuses a page that it has.
            let mut module = Module::default();
            let mut acceptor = Acceptor::new(&mut module, GpaWidth::Bits48);
            for asked in ends {
                let asked = (base + (asked << 12)).min(end);
                prop_assert_eq!(acceptor.accept(range, asked), Ok(()));
                let State::Free { accepted_end } = range.state else { panic!("our own") };
                prop_assert!(asked <= accepted_end && accepted_end <= end);
                prop_assert_eq!(acceptor.total().bytes(), accepted_end - base);
            }
            let left = ram.unaccepted_bytes();
            acceptor.accept_all(&mut ram).unwrap();
            prop_assert_eq!(acceptor.total().bytes(), pages << 12);
            prop_assert_eq!(module.accepted.len() as u64, pages);
            prop_assert!(left <= pages << 12);
        }
    }
}
