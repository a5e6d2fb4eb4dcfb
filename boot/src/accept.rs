//! Accepts memory that the TD HOB lists: all of it, before the kernel starts.
//!
//! How pages are accepted is `tdcall`'s; here it is said which. A page that the TD HOB calls
//! unaccepted and that boot did not accept itself must not be accepted already: the VMM would
//! have listed a range twice, and an accept of the second one would hide that pages hold
//! somebody's content. So that answer stops the boot. [TDVF 12.2]

use abi::GpaWidth;
use tdcall::accept::{Accept, AcceptError, Accepted, accept_range};

use crate::ram::{RamList, State};

/// Accepts all unaccepted memory of `ram` and marks it so.
///
/// # Errors
/// At the first page that cannot be accepted; memory before it stays accepted.
pub fn accept_all(
    td: &mut impl Accept,
    ram: &mut RamList,
    width: GpaWidth,
) -> Result<Accepted, AcceptError> {
    let mut total = Accepted::default();
    for range in ram.ranges_mut() {
        if range.state == State::Unaccepted {
            accept_range(td, range.start..range.end, width, &mut total)?;
            range.state = State::Accepted;
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use abi::{PageLevel, PrivateGpa, Status};
    use image::hob::{Memory, ResourceRange};

    use super::*;
    use crate::testing::filled;

    /// Refuses the page at an address.
    struct Module(u64);

    impl Accept for Module {
        fn mem_page_accept(&mut self, gpa: PrivateGpa, _: PageLevel) -> Status {
            if gpa.bits() == self.0 { Status::PAGE_ALREADY_ACCEPTED } else { Status::SUCCESS }
        }
    }

    fn ram(ranges: &[(u64, u64)]) -> RamList {
        let ranges: Vec<_> = ranges
            .iter()
            .map(|&(start, len)| ResourceRange { start, len, kind: Memory::Unaccepted })
            .collect();
        filled(&ranges).unwrap()
    }

    #[test]
    fn all_memory_of_the_list_is_accepted() {
        let mut ram = ram(&[(0x10_0000, 0x50_0000), (0x100_0000, 0x20_0000)]);
        let total = accept_all(&mut Module(0), &mut ram, GpaWidth::Bits48).unwrap();
        assert_eq!(total, Accepted { large: 3, small: 256 });
        assert!(ram.ranges().iter().all(|range| range.state != State::Unaccepted));
    }

    #[test]
    fn a_page_that_is_accepted_already_stops_the_boot() {
        let mut ram = ram(&[(0x20_0000, 0x20_0000), (0x60_0000, 0x20_0000)]);
        let error = accept_all(&mut Module(0x60_0000), &mut ram, GpaWidth::Bits48).unwrap_err();
        assert_eq!(error, AcceptError::AlreadyAccepted { gpa: PrivateGpa::new(0x60_0000) });
        let left = ram.ranges().iter().filter(|range| range.state == State::Unaccepted).count();
        assert_eq!(left, 1);
    }
}
