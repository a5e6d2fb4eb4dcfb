//! MapGPA: pages change between private and shared. [TDVF 4.4, 4.8]
#![expect(unsafe_code, reason = "TDCALL")]

use core::fmt;

use abi::ghci::function;
use abi::{GhciStatus, GpaRange, PAGE_SIZE, Status};

use super::{VmcallError, mask, refused, succeeded};

/// Calls in a row that may end without progress. Linux, edk2 and td-shim use 3 too.
const TRIES: u32 = 3;

/// A MapGPA that did not do all of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapGpaError {
    /// Why. `Vmm(RETRY)`: the VMM made no progress, or its resume address is not one of the
    /// rest of the range.
    pub error: VmcallError,
    /// The range is converted up to here, by what the VMM says and as far as that was
    /// believable: an address as [`GpaRange::end`] gives it.
    pub done_to: u64,
}

impl fmt::Display for MapGpaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MapGPA stopped at {:#x}: {}", self.done_to, self.error)
    }
}

impl core::error::Error for MapGpaError {}

/// MapGPA: asks the VMM to back the range in its own half: shared memory if its start is a
/// [`Gpa::Shared`](abi::Gpa::Shared), private if it is a [`Gpa::Private`](abi::Gpa::Private).
/// A page that became private is pending and has to be accepted. [TDVF 4.4]
///
/// In R12 start with its SHARED bit, R13 bytes; out R11, on RETRY, where to resume.
///
/// The VMM may do a part and answer RETRY. Its resume address has to be a page of the rest
/// of the range, not behind the last one; after three answers without progress the call is
/// given up. So the loop ends after three calls for each page of the range, at the latest.
///
/// ```no_run
/// use abi::{Gpa, GpaRange, GpaWidth, PrivateGpa};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let start = Gpa::Private(PrivateGpa::new(0x20_0000));
/// let range = GpaRange::try_new(start, 0x1000, GpaWidth::Bits48)?;
/// // SAFETY: no object lies there, in either half.
/// unsafe { tdcall::ghci::map_gpa(range) }?;
/// # Ok(())
/// # }
/// ```
///
/// ```compile_fail,E0308
/// // A number is not a range: alignment and half have to be known.
/// let _ = tdcall::ghci::map_gpa(0x8000_0000_1000, 0x1000);
/// ```
///
/// # Errors
/// See [`MapGpaError`]. Part of the range may be converted.
///
/// # Safety
/// The VMM takes the contents of the pages away and may read and write what it gives
/// instead: no Rust object lies in them, in either half.
pub unsafe fn map_gpa(range: GpaRange) -> Result<(), MapGpaError> {
    // SAFETY: what the pages hold is the caller's promise.
    let (answer, resume) = unsafe { ask(range.start().bits(), range.bytes()) };
    if succeeded(answer) {
        forget!("r11");
        return Ok(());
    }
    // SAFETY: the same.
    unsafe { go_on(range, answer, resume) }
}

/// One call: the two statuses, and R11.
///
/// # Safety
/// That of [`map_gpa`].
#[inline(always)]
unsafe fn ask(start: u64, bytes: u64) -> ((Status, u64), u64) {
    let resume: u64;
    // SAFETY: what the pages hold is the caller's promise; every exposed register is an
    // output or is lent.
    let answer = unsafe {
        vmcall!(mask mask::MAP_GPA, lend ["r12" by "rdi" = start, "r13" by "rsi" = bytes],
                after [], inlateout("r11") function::MAP_GPA => resume,)
    };
    (answer, resume)
}

/// Goes on after a first answer that is not success.
///
/// # Safety
/// That of [`map_gpa`].
#[cold]
#[inline(never)]
unsafe fn go_on(
    range: GpaRange,
    mut answer: (Status, u64),
    mut resume: u64,
) -> Result<(), MapGpaError> {
    let (mut start, end) = (range.start().bits(), range.end());
    let mut tries = TRIES;
    while !succeeded(answer) {
        match next(answer, resume, start, end, tries) {
            Some((to, left)) => (start, tries) = (to, left),
            None => return stopped(answer, start),
        }
        // SAFETY: what the pages hold is the caller's promise; `next` keeps to the range.
        let again = unsafe { ask(start, end.saturating_sub(start)) };
        (answer, resume) = again;
    }
    forget!("r11");
    Ok(())
}

/// Where and with how many tries to go on after an answer that is not success.
fn next(
    (status, answer): (Status, u64),
    resume: u64,
    start: u64,
    end: u64,
    tries: u32,
) -> Option<(u64, u32)> {
    let believable = resume >= start && resume < end && resume.is_multiple_of(PAGE_SIZE);
    if status.0 != 0 || answer != GhciStatus::RETRY.0 || !believable {
        return None;
    }
    match tries {
        _ if resume > start => Some((resume, TRIES)),
        0 | 1 => None,
        left => Some((start, left.wrapping_sub(1))),
    }
}

fn stopped(answer: (Status, u64), done_to: u64) -> Result<(), MapGpaError> {
    refused(answer).map_err(|error| MapGpaError { error, done_to })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: (Status, u64) = (Status::SUCCESS, GhciStatus::RETRY.0);

    #[test]
    fn a_resume_address_ahead_is_taken_and_tries_start_anew() {
        assert_eq!(next(RETRY, 0x3000, 0x1000, 0x9000, 1), Some((0x3000, TRIES)));
        assert_eq!(next(RETRY, 0x8000, 0x1000, 0x9000, 1), Some((0x8000, TRIES)));
    }

    #[test]
    fn no_progress_is_borne_three_times() {
        assert_eq!(next(RETRY, 0x1000, 0x1000, 0x9000, 3), Some((0x1000, 2)));
        assert_eq!(next(RETRY, 0x1000, 0x1000, 0x9000, 2), Some((0x1000, 1)));
        assert_eq!(next(RETRY, 0x1000, 0x1000, 0x9000, 1), None);
    }

    #[test]
    fn a_resume_address_that_is_none_is_refused() {
        for resume in [0, 0xFFF, 0x0FFF_F000, 0x9000, 0x1001, u64::MAX & !0xFFF, u64::MAX] {
            assert_eq!(next(RETRY, resume, 0x1000, 0x9000, 3), None, "{resume:#x}");
        }
    }

    #[test]
    fn another_answer_ends_the_call() {
        let invalid = (Status::SUCCESS, GhciStatus::INVALID_OPERAND.0);
        assert_eq!(next(invalid, 0x3000, 0x1000, 0x9000, 3), None);
        let module = (Status::OPERAND_INVALID, GhciStatus::RETRY.0);
        assert_eq!(next(module, 0x3000, 0x1000, 0x9000, 3), None);
        let error = stopped(invalid, 0x3000).unwrap_err();
        assert_eq!(error.error, VmcallError::Vmm(GhciStatus::INVALID_OPERAND));
        assert_eq!(error.done_to, 0x3000);
    }
}
