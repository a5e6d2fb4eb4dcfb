//! TDH.MEM.PAGE.DEMOTE, PROMOTE and RELOCATE: pages change size and place. [ABI-H 3.8]
//!
//! RCX and RDX of a [`LeafError`] are as in the other leaves that walk the secure EPT.
#![expect(unsafe_code, reason = "SEAMCALL")]

use abi::leaf::tdh;
use abi::{Hpa, PageLevel, PrivateGpa, Status};

use super::{LeafError, Removed, done_or, walking_leaf};
use crate::retry::while_busy;

/// Calls of a leaf that starts anew when an interrupt comes.
const RESTARTS: u32 = 1000;

/// Repeats a leaf while an interrupt made it give up.
fn while_interrupted<T>(mut call: impl FnMut() -> Result<T, LeafError>) -> Result<T, LeafError> {
    for _ in 1..RESTARTS {
        match call() {
            Err(error) if error.status.is(Status::INTERRUPTED_RESTARTABLE) => {}
            answer => return answer,
        }
    }
    call()
}

/// TDH.MEM.PAGE.DEMOTE: splits a blocked, tracked page of `level` (2 MiB or 1 GiB) into 512;
/// `sept_page` becomes their table. In RCX, RDX TDR, R8 page, R9-R11 = 0 (no nested VM).
/// Interrupted calls are repeated with a bound. [ABI-H 3.8]
///
/// # Errors
/// GPA_RANGE_NOT_BLOCKED, TLB_TRACKING_NOT_DONE, EPT_ENTRY_STATE_INCORRECT,
/// PAGE_METADATA_INCORRECT; INTERRUPTED_RESTARTABLE if it stays so.
///
/// # Safety
/// The page is the caller's to give.
pub unsafe fn mem_page_demote(
    gpa: PrivateGpa,
    level: PageLevel,
    tdr: Hpa,
    sept_page: Hpa,
) -> Result<(), LeafError> {
    let operand = gpa.bits() | level as u64;
    while_interrupted(|| {
        walking_leaf!(tdh::MEM_PAGE_DEMOTE, operand, tdr.bits(), in("r8") sept_page.bits(),
                      inlateout("r9") 0_u64 => _, inlateout("r10") 0_u64 => _,
                      inlateout("r11") 0_u64 => _,)
        .map(drop)
    })
}

/// TDH.MEM.PAGE.PROMOTE: merges 512 pages into one of `level` (2 MiB or 1 GiB). In RCX, RDX
/// TDR; out RCX the page that was their table, R9-R11. Interrupted calls are repeated with a
/// bound. [ABI-H 3.8]
///
/// # Errors
/// EPT_INVALID_PROMOTE_CONDITIONS, GPA_RANGE_NOT_BLOCKED, TLB_TRACKING_NOT_DONE,
/// EPT_ENTRY_STATE_INCORRECT; INTERRUPTED_RESTARTABLE if it stays so.
pub fn mem_page_promote(gpa: PrivateGpa, level: PageLevel, tdr: Hpa) -> Result<Removed, LeafError> {
    let operand = gpa.bits() | level as u64;
    while_interrupted(|| {
        walking_leaf!(tdh::MEM_PAGE_PROMOTE, operand, tdr.bits(), lateout("r9") _,
                      lateout("r10") _, lateout("r11") _,)
        .map(|(page, _)| Removed { page })
    })
}

/// TDH.MEM.PAGE.RELOCATE: moves a blocked, tracked 4 KiB page of the TD to `page`. In RCX, RDX
/// TDR, R8 page; out RCX the page where it was. [ABI-H 3.8]
///
/// # Errors
/// GPA_RANGE_NOT_BLOCKED, TLB_TRACKING_NOT_DONE, EPT_ENTRY_STATE_INCORRECT,
/// PAGE_METADATA_INCORRECT, OPERAND_INVALID (detail: R8, the same page).
///
/// # Safety
/// The page is the caller's to give.
pub unsafe fn mem_page_relocate(
    gpa: PrivateGpa,
    tdr: Hpa,
    page: Hpa,
) -> Result<Removed, LeafError> {
    walking_leaf!(tdh::MEM_PAGE_RELOCATE, gpa.bits(), tdr.bits(), in("r8") page.bits(),)
        .map(|(page, _)| Removed { page })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_leaf_starts_anew_with_a_bound() {
        let mut calls = 0;
        let answer = while_interrupted(|| {
            calls += 1;
            if calls < 4 { Err(Status::INTERRUPTED_RESTARTABLE.into()) } else { Ok(calls) }
        });
        assert_eq!(answer, Ok(4));
        let mut calls = 0;
        let answer: Result<(), _> = while_interrupted(|| {
            calls += 1;
            Err(Status::INTERRUPTED_RESTARTABLE.into())
        });
        assert_eq!(answer, Err(Status::INTERRUPTED_RESTARTABLE.into()));
        assert_eq!(calls, RESTARTS);
    }
}
