//! Acceptance: what the VMM gave becomes private zero pages. [ABI-G 11], [TDVF 9.2]
//!
//! Pages of 2 MiB are tried first. Where the VMM mapped small ones (KVM always does), that
//! piece goes by 4 KiB: one call more for each 2 MiB, which is the floor for a caller that
//! cannot know how the VMM maps.
//!
//! A page is accepted once. That it is accepted already is an error always: either the caller
//! accepts it a second time, or the VMM put another page in the place of one in use; going on
//! would hide a page that holds somebody's content. So does every answer stop the range that
//! is neither success nor a reason to try again. Statuses are told by their upper 32 bits:
//! what is below is a detail.
//!
//! The TDX module is an [`Accept`], so that all of this runs in tests of the host.

use core::fmt;
use core::ops::Range;

use abi::{AddressError, GpaWidth, PAGE_SIZE, PageLevel, PrivateGpa, Status};

/// How often a page is tried while the module says that it is busy, on top of the
/// retries in the call itself. Then somebody holds it for ever.
pub const BUSY_TRIES: u32 = 1000;

/// The TDX module, as far as acceptance needs it.
pub trait Accept {
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
        let large = self.large.saturating_mul(PageLevel::Size2M.bytes());
        large.saturating_add(self.small.saturating_mul(PageLevel::Size4K.bytes()))
    }

    /// Counts a page.
    const fn add(&mut self, level: PageLevel) {
        let pages = match level {
            PageLevel::Size2M => &mut self.large,
            _ => &mut self.small,
        };
        *pages = pages.saturating_add(1);
    }
}

/// Accepts the pages of `range`, private addresses in whole pages, ascending, and adds them
/// to `total`. An empty range is nothing to do.
///
/// # Errors
/// At the first page that cannot be accepted. Memory before it is accepted, and counted.
pub fn accept_range(
    td: &mut (impl Accept + ?Sized),
    range: Range<u64>,
    width: GpaWidth,
    total: &mut Accepted,
) -> Result<(), AcceptError> {
    const LARGE: u64 = PageLevel::Size2M.bytes();
    let Range { start, end } = range;
    if !(start | end).is_multiple_of(PAGE_SIZE) {
        return Err(AcceptError::Unaligned { start, end });
    }
    let mut at = start;
    // Below this address the VMM is known to use small pages.
    let mut small_until = at;
    while at < end {
        let gpa = PrivateGpa::try_new(at, width).map_err(AcceptError::Address)?;
        let fits = gpa.is_aligned(PageLevel::Size2M) && end.saturating_sub(at) >= LARGE;
        let level = if fits && at >= small_until { PageLevel::Size2M } else { PageLevel::Size4K };
        match accept_page(td, gpa, level)? {
            Outcome::Accepted => {
                at = at.saturating_add(level.bytes());
                total.add(level);
            }
            Outcome::TrySmaller => small_until = at.saturating_add(LARGE),
        }
    }
    Ok(())
}

enum Outcome {
    Accepted,
    TrySmaller,
}

fn accept_page(
    td: &mut (impl Accept + ?Sized),
    gpa: PrivateGpa,
    level: PageLevel,
) -> Result<Outcome, AcceptError> {
    let mut status = Status::SUCCESS;
    for _ in 0..BUSY_TRIES {
        status = td.mem_page_accept(gpa, level);
        if status.is(Status::SUCCESS) {
            return Ok(Outcome::Accepted);
        } else if status.is(Status::PAGE_SIZE_MISMATCH) && level == PageLevel::Size2M {
            return Ok(Outcome::TrySmaller);
        } else if status.is(Status::PAGE_ALREADY_ACCEPTED) {
            return Err(AcceptError::AlreadyAccepted { gpa });
        } else if !status.is_busy() {
            return Err(AcceptError::Refused { gpa, level, status });
        }
        core::hint::spin_loop();
    }
    Err(AcceptError::BusyForEver { gpa, status })
}

/// Why memory cannot be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the Display text of each variant is its documentation")]
pub enum AcceptError {
    Unaligned { start: u64, end: u64 },
    Address(AddressError),
    AlreadyAccepted { gpa: PrivateGpa },
    BusyForEver { gpa: PrivateGpa, status: Status },
    Refused { gpa: PrivateGpa, level: PageLevel, status: Status },
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unaligned { start, end } => {
                write!(f, "cannot accept [{start:#x}, {end:#x}): not whole pages")
            }
            Self::Address(error) => write!(f, "cannot accept: {error}"),
            Self::AlreadyAccepted { gpa } => write!(
                f,
                "page {:#x} is accepted already: accepted twice by this program, \
                 or put there by the host (attack?)",
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
                level.bytes() >> 10,
                gpa.bits()
            ),
        }
    }
}

impl core::error::Error for AcceptError {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::string::ToString;

    use proptest::prelude::*;

    use super::*;

    const MISMATCH: Status = Status::PAGE_SIZE_MISMATCH.with_detail(1);

    /// Pages that are accepted, and pages that the VMM mapped small.
    #[derive(Default)]
    struct Module {
        accepted: BTreeSet<u64>,
        mapped_small: BTreeSet<u64>,
        /// Every 2 MiB page becomes small pages when it is first touched, as with KVM.
        like_kvm: bool,
        /// What it says, and how often, before it does its work.
        busy: Option<(Status, u32)>,
        calls: u64,
    }

    impl Accept for Module {
        fn mem_page_accept(&mut self, gpa: PrivateGpa, level: PageLevel) -> Status {
            self.calls += 1;
            if let Some((status, left @ 1..)) = &mut self.busy {
                *left -= 1;
                return *status;
            }
            let large = gpa.bits() >> 21;
            if self.like_kvm {
                self.mapped_small.insert(large);
            }
            if level == PageLevel::Size2M && self.mapped_small.contains(&large) {
                return MISMATCH;
            }
            let pages = gpa.bits() >> 12..(gpa.bits() + level.bytes()) >> 12;
            if pages.clone().any(|page| self.accepted.contains(&page)) {
                return Status::PAGE_ALREADY_ACCEPTED.with_detail(level as u32);
            }
            self.accepted.extend(pages);
            // A detail below a success is none.
            Status::SUCCESS.with_detail(7)
        }
    }

    /// Answers the same to everything.
    struct Always(Status, u64);

    impl Accept for Always {
        fn mem_page_accept(&mut self, _: PrivateGpa, _: PageLevel) -> Status {
            self.1 += 1;
            self.0
        }
    }

    fn accept(td: &mut impl Accept, range: Range<u64>) -> Result<Accepted, AcceptError> {
        let mut total = Accepted::default();
        accept_range(td, range, GpaWidth::Bits48, &mut total).map(|()| total)
    }

    #[test]
    fn large_pages_are_used_where_they_fit() {
        let mut module = Module::default();
        let total = accept(&mut module, 0x10_0000..0x60_0000).unwrap();
        assert_eq!(total, Accepted { large: 2, small: 256 });
        assert_eq!(total.bytes(), 0x50_0000);
        assert_eq!(module.calls, 258);
    }

    #[test]
    fn a_vmm_that_maps_small_pages_costs_one_more_call_for_each_large_one() {
        let mut module = Module { like_kvm: true, ..Module::default() };
        let total = accept(&mut module, 0x20_0000..0x80_0000).unwrap();
        assert_eq!(total, Accepted { large: 0, small: 3 * 512 });
        assert_eq!(module.calls, 3 * 513);
    }

    #[test]
    fn only_the_piece_that_is_small_goes_by_small_pages() {
        let mut module = Module { mapped_small: [2].into(), ..Module::default() };
        let total = accept(&mut module, 0x20_0000..0x80_0000).unwrap();
        assert_eq!(total, Accepted { large: 2, small: 512 });
    }

    #[test]
    fn a_page_that_is_accepted_already_is_an_error_at_any_level() {
        for (page, mapped_small) in [(0x345, &[1][..]), (0x200, &[])] {
            let mut module = Module {
                accepted: [page].into(),
                mapped_small: mapped_small.iter().copied().collect(),
                ..Module::default()
            };
            let error = accept(&mut module, 0x20_0000..0x40_0000).unwrap_err();
            assert_eq!(error, AcceptError::AlreadyAccepted { gpa: PrivateGpa::new(page << 12) });
            let text = error.to_string();
            assert!(text.contains("twice by this program") && text.contains("by the host"));
        }
    }

    #[test]
    fn a_range_is_accepted_once() {
        let mut module = Module::default();
        assert!(accept(&mut module, 0x20_0000..0x40_0000).is_ok());
        let again = accept(&mut module, 0x20_0000..0x40_0000);
        assert_eq!(again, Err(AcceptError::AlreadyAccepted { gpa: PrivateGpa::new(0x20_0000) }));
    }

    #[test]
    fn what_was_accepted_before_an_error_is_counted() {
        let mut module = Module { accepted: [0x402].into(), ..Module::default() };
        module.mapped_small.insert(2);
        let mut total = Accepted::default();
        let range = 0x20_0000..0x60_0000;
        assert!(accept_range(&mut module, range, GpaWidth::Bits48, &mut total).is_err());
        assert_eq!(total, Accepted { large: 1, small: 2 });
    }

    #[test]
    fn a_module_that_is_busy_for_a_while_is_waited_for() {
        for status in [
            Status::OPERAND_BUSY.with_detail(1),
            Status::OPERAND_BUSY_HOST_PRIORITY.with_detail(147),
        ] {
            let mut module = Module { busy: Some((status, BUSY_TRIES - 1)), ..Module::default() };
            let total = accept(&mut module, 0x20_0000..0x40_0000);
            assert_eq!(total, Ok(Accepted { large: 1, small: 0 }));
        }
    }

    #[test]
    fn a_module_that_is_busy_for_ever_is_not() {
        for status in
            [Status::OPERAND_BUSY.with_detail(1), Status::OPERAND_BUSY_HOST_PRIORITY.with_detail(1)]
        {
            let mut module = Always(status, 0);
            let error = accept(&mut module, 0x20_0000..0x40_0000).unwrap_err();
            let gpa = PrivateGpa::new(0x20_0000);
            assert_eq!(error, AcceptError::BusyForEver { gpa, status });
            assert_eq!(module.1, u64::from(BUSY_TRIES));
        }
    }

    #[test]
    fn a_size_mismatch_of_a_small_page_ends() {
        let mut module = Always(MISMATCH, 0);
        let error = accept(&mut module, 0x20_0000..0x40_0000).unwrap_err();
        let (gpa, level, status) = (PrivateGpa::new(0x20_0000), PageLevel::Size4K, MISMATCH);
        assert_eq!(error, AcceptError::Refused { gpa, level, status });
        assert_eq!(module.1, 2);
    }

    #[test]
    fn what_is_no_range_of_private_pages_is_refused_before_a_call() {
        let mut module = Always(Status::SUCCESS, 0);
        for (start, end) in [(1, 0x1000), (0, 0x1001), (0x800, 0x800)] {
            let error = AcceptError::Unaligned { start, end };
            assert_eq!(accept(&mut module, start..end), Err(error));
        }
        let shared = accept(&mut module, 1 << 47..(1 << 47) + 0x1000);
        assert!(matches!(shared, Err(AcceptError::Address(_))));
        let (start, end) = (0x2000, 0x1000);
        assert_eq!(accept(&mut module, start..end), Ok(Accepted::default()));
        assert_eq!(module.1, 0);
    }

    proptest! {
        #[test]
        fn whatever_the_module_says_acceptance_ends(
            statuses in prop::collection::vec(prop::sample::select(Status::ALL), 1..20),
        ) {
            struct Script(std::vec::Vec<Status>, usize);
            impl Accept for Script {
                fn mem_page_accept(&mut self, _: PrivateGpa, _: PageLevel) -> Status {
                    self.1 += 1;
                    self.0[self.1 % self.0.len()]
                }
            }
            let mut module = Script(statuses, 0);
            let ended = accept(&mut module, 0x20_0000..0x60_1000);
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
            let start = base + (start << 12);
            let total = accept(&mut module, start..start + (pages << 12)).unwrap();
            prop_assert_eq!(total.bytes(), pages << 12);
            let first = start >> 12;
            prop_assert!(module.accepted.into_iter().eq(first..first + pages));
        }
    }
}
