//! Accepts memory: turns what the VMM gave into private zero pages. [ABI-G 11], [TDVF 9.2]
//!
//! Everything is accepted before the kernel starts. Pages of 2 MiB are tried first; where
//! the VMM mapped small ones (KVM always does), that piece goes by 4 KiB.
//!
//! A page that the TD HOB calls unaccepted and that boot did not accept itself must not be
//! accepted already: the VMM would have listed a range twice, and an accept of the second
//! one would hide that pages hold somebody's content. So that answer stops the boot, as
//! does every answer that is neither success nor a reason to try again. [TDVF 12.2]

use core::fmt;

use abi::{AddressError, GpaWidth, PageLevel, PrivateGpa, Status};

use crate::ram::{RamList, Range, State};

/// How often a page is tried while the module says that it is busy, on top of the
/// retries in the call itself. Then somebody holds it for ever.
pub const BUSY_TRIES: u32 = 1000;

/// The TDX module, as far as acceptance needs it.
pub trait Tdcall {
    /// TDG.MEM.PAGE.ACCEPT. The page is not in use: its content is lost.
    fn mem_page_accept(&mut self, gpa: PrivateGpa, level: PageLevel) -> Status;
}

/// What was accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Pages of 2 MiB.
    pub large: u64,
    /// Pages of 4 KiB.
    pub small: u64,
}

impl Accepted {
    /// Bytes in all.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.large * PageLevel::Size2M.bytes() + self.small * PageLevel::Size4K.bytes()
    }
}

/// Accepts all unaccepted memory of `ram` and marks it so.
///
/// # Errors
/// At the first page that cannot be accepted; memory before it stays accepted.
pub fn accept_all(
    td: &mut impl Tdcall,
    ram: &mut RamList,
    width: GpaWidth,
) -> Result<Accepted, AcceptError> {
    let mut total = Accepted::default();
    for range in ram.ranges_mut() {
        if range.state == State::Unaccepted {
            accept_range(td, *range, width, &mut total)?;
            range.state = State::Accepted;
        }
    }
    Ok(total)
}

/// Accepts the pages of one range.
fn accept_range(
    td: &mut impl Tdcall,
    range: Range,
    width: GpaWidth,
    total: &mut Accepted,
) -> Result<(), AcceptError> {
    const LARGE: u64 = PageLevel::Size2M.bytes();
    let mut at = range.start;
    // Below this address the VMM is known to use small pages.
    let mut small_until = at;
    while at < range.end {
        let gpa = PrivateGpa::try_new(at, width).map_err(AcceptError::Address)?;
        let fits = gpa.is_aligned(PageLevel::Size2M) && range.end - at >= LARGE;
        let level = if fits && at >= small_until { PageLevel::Size2M } else { PageLevel::Size4K };
        match accept_page(td, gpa, level)? {
            Outcome::Accepted => {
                at += level.bytes();
                match level {
                    PageLevel::Size2M => total.large += 1,
                    _ => total.small += 1,
                }
            }
            Outcome::TrySmaller => small_until = at + LARGE,
        }
    }
    Ok(())
}

enum Outcome {
    Accepted,
    TrySmaller,
}

fn accept_page(
    td: &mut impl Tdcall,
    gpa: PrivateGpa,
    level: PageLevel,
) -> Result<Outcome, AcceptError> {
    let refused = |status| AcceptError::Refused { gpa, level, status };
    let mut status = Status::SUCCESS;
    for _ in 0..BUSY_TRIES {
        status = td.mem_page_accept(gpa, level);
        if status == Status::SUCCESS {
            return Ok(Outcome::Accepted);
        } else if status.is(Status::PAGE_SIZE_MISMATCH) && level == PageLevel::Size2M {
            return Ok(Outcome::TrySmaller);
        } else if status.is(Status::PAGE_ALREADY_ACCEPTED) {
            return Err(AcceptError::AlreadyAccepted { gpa });
        } else if !status.is_busy() {
            return Err(refused(status));
        }
        core::hint::spin_loop();
    }
    Err(AcceptError::BusyForEver { gpa, status })
}

/// Why memory cannot be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the Display text of each variant is its documentation")]
pub enum AcceptError {
    Address(AddressError),
    AlreadyAccepted { gpa: PrivateGpa },
    BusyForEver { gpa: PrivateGpa, status: Status },
    Refused { gpa: PrivateGpa, level: PageLevel, status: Status },
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) => write!(f, "cannot accept: {error}"),
            Self::AlreadyAccepted { gpa } => write!(
                f,
                "page {:#x} is accepted already, but the TD HOB says it is not: attack?",
                gpa.bits()
            ),
            Self::BusyForEver { gpa, status } => write!(
                f,
                "page {:#x} cannot be accepted: TDG.MEM.PAGE.ACCEPT goes on to answer {status}",
                gpa.bits()
            ),
            Self::Refused { gpa, level, status } => write!(
                f,
                "cannot accept {} KiB at {:#x}: {status}",
                level.bytes() / 1024,
                gpa.bits()
            ),
        }
    }
}

impl core::error::Error for AcceptError {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use image::hob::{Memory, ResourceRange};
    use proptest::prelude::*;

    use super::*;
    use crate::testing::filled;

    /// Pages that are accepted, and pages that the VMM mapped small.
    #[derive(Default)]
    struct Module {
        accepted: BTreeSet<u64>,
        mapped_small: BTreeSet<u64>,
        /// Every 2 MiB page becomes small pages when it is first touched, as with KVM.
        like_kvm: bool,
        /// Says busy so many times before it does its work.
        busy: u32,
        calls: u64,
    }

    impl Tdcall for Module {
        fn mem_page_accept(&mut self, gpa: PrivateGpa, level: PageLevel) -> Status {
            self.calls += 1;
            if self.busy > 0 {
                self.busy -= 1;
                return Status::OPERAND_BUSY.with_detail(1);
            }
            let large = gpa.bits() >> 21;
            if self.like_kvm {
                self.mapped_small.insert(large);
            }
            if level == PageLevel::Size2M && self.mapped_small.contains(&large) {
                return Status::PAGE_SIZE_MISMATCH.with_detail(1);
            }
            let pages = gpa.bits() >> 12..(gpa.bits() + level.bytes()) >> 12;
            if pages.clone().any(|page| self.accepted.contains(&page)) {
                return Status::PAGE_ALREADY_ACCEPTED;
            }
            self.accepted.extend(pages);
            Status::SUCCESS
        }
    }

    /// Answers the same to everything.
    struct Always(Status, u64);

    impl Tdcall for Always {
        fn mem_page_accept(&mut self, _: PrivateGpa, _: PageLevel) -> Status {
            self.1 += 1;
            self.0
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
    fn large_pages_are_used_where_they_fit() {
        let mut module = Module::default();
        let mut ram = ram(&[(0x10_0000, 0x50_0000), (0x100_0000, 0x20_0000)]);
        let total = accept_all(&mut module, &mut ram, GpaWidth::Bits48).unwrap();
        assert_eq!(total, Accepted { large: 3, small: 256 });
        assert_eq!(total.bytes(), 0x70_0000);
        assert_eq!(module.calls, 259);
        assert!(ram.ranges().iter().all(|range| range.state != State::Unaccepted));
    }

    #[test]
    fn a_vmm_that_maps_small_pages_costs_one_more_call_for_each_large_one() {
        let mut module = Module { like_kvm: true, ..Module::default() };
        let mut ram = ram(&[(0x20_0000, 0x60_0000)]);
        let total = accept_all(&mut module, &mut ram, GpaWidth::Bits48).unwrap();
        assert_eq!(total, Accepted { large: 0, small: 3 * 512 });
        assert_eq!(module.calls, 3 * 513);
    }

    #[test]
    fn only_the_piece_that_is_small_goes_by_small_pages() {
        let mut module = Module { mapped_small: [2].into(), ..Module::default() };
        let mut ram = ram(&[(0x20_0000, 0x60_0000)]);
        let total = accept_all(&mut module, &mut ram, GpaWidth::Bits48).unwrap();
        assert_eq!(total, Accepted { large: 2, small: 512 });
    }

    #[test]
    fn a_page_that_is_accepted_already_stops_the_boot() {
        let mut module = Module { accepted: [0x345].into(), ..Module::default() };
        module.mapped_small.insert(1);
        let mut ram = ram(&[(0x20_0000, 0x20_0000)]);
        let error = accept_all(&mut module, &mut ram, GpaWidth::Bits48).unwrap_err();
        assert_eq!(error, AcceptError::AlreadyAccepted { gpa: PrivateGpa::new(0x34_5000) });
        assert!(ram.ranges().iter().any(|range| range.state == State::Unaccepted));
    }

    #[test]
    fn a_module_that_is_busy_for_a_while_is_waited_for() {
        let mut module = Module { busy: BUSY_TRIES - 1, ..Module::default() };
        let mut ram = ram(&[(0x20_0000, 0x20_0000)]);
        assert!(accept_all(&mut module, &mut ram, GpaWidth::Bits48).is_ok());
    }

    #[test]
    fn a_module_that_is_busy_for_ever_is_not() {
        let mut module = Always(Status::OPERAND_BUSY_HOST_PRIORITY.with_detail(1), 0);
        let mut ram = ram(&[(0x20_0000, 0x20_0000)]);
        let error = accept_all(&mut module, &mut ram, GpaWidth::Bits48).unwrap_err();
        let gpa = PrivateGpa::new(0x20_0000);
        assert_eq!(error, AcceptError::BusyForEver { gpa, status: module.0 });
        assert_eq!(module.1, u64::from(BUSY_TRIES));
    }

    #[test]
    fn a_size_mismatch_of_a_small_page_ends() {
        let status = Status::PAGE_SIZE_MISMATCH.with_detail(1);
        let mut module = Always(status, 0);
        let mut ram = ram(&[(0x20_0000, 0x20_0000)]);
        let error = accept_all(&mut module, &mut ram, GpaWidth::Bits48).unwrap_err();
        let gpa = PrivateGpa::new(0x20_0000);
        assert_eq!(error, AcceptError::Refused { gpa, level: PageLevel::Size4K, status });
        assert_eq!(module.1, 2);
    }

    proptest! {
        #[test]
        fn whatever_the_module_says_acceptance_ends(
            statuses in prop::collection::vec(prop::sample::select(Status::ALL), 1..20),
        ) {
            struct Script(Vec<Status>, usize);
            impl Tdcall for Script {
                fn mem_page_accept(&mut self, _: PrivateGpa, _: PageLevel) -> Status {
                    self.1 += 1;
                    self.0[self.1 % self.0.len()]
                }
            }
            let mut module = Script(statuses, 0);
            let mut ram = ram(&[(0x20_0000, 0x40_1000)]);
            let ended = accept_all(&mut module, &mut ram, GpaWidth::Bits48);
            // Two large and one small page, each by small pages, each as late as may be.
            prop_assert!(module.1 as u64 <= 1027 * u64::from(BUSY_TRIES));
            if ended.is_ok() {
                prop_assert!(module.0.contains(&Status::SUCCESS));
            }
        }

        #[test]
        fn every_page_is_accepted_once(
            start in 0_u64..2048, pages in 1_u64..3000,
            small in prop::collection::btree_set(0_u64..10, 0..5),
        ) {
            let base = 0x100_0000;
            let mut module = Module {
                mapped_small: small.into_iter().map(|n| (base >> 21) + n).collect(),
                ..Module::default()
            };
            let mut ram = ram(&[(base + (start << 12), pages << 12)]);
            let total = accept_all(&mut module, &mut ram, GpaWidth::Bits52).unwrap();
            prop_assert_eq!(total.bytes(), pages << 12);
            let first = (base >> 12) + start;
            prop_assert!(module.accepted.into_iter().eq(first..first + pages));
        }
    }
}
