//! Attestation: the TDREPORT, its check on this platform, and the run-time measurements.
//! [ABI-G 2.3, 2.5, 2.12, 13]
//!
//! What the module reads and writes lies on the heap, which is private memory.
#![expect(unsafe_code, reason = "gives a buffer to TDG.MR.REPORT")]

use alloc::boxed::Box;
use core::fmt;

use abi::leaf::tdg;
use abi::report::{DIGEST_BYTES, REPORT_DATA_BYTES, ReportMac, TdReport};
use abi::{Gpa, PrivateGpa, Status};
use tdcall::guest;
pub use tdcall::guest::Rtmr;
use zerocopy::FromZeros;

use crate::{Memory, counts};

/// Why there is no report, no verdict on one, or no extended register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttestError {
    /// A buffer on the heap has no private address: the page tables are not the kernel's.
    NoAddress,
    /// The module's answer.
    Refused(Status),
}

impl fmt::Display for AttestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress => f.write_str("the buffer is not in private memory"),
            Self::Refused(status) => write!(f, "the module refused: {status}"),
        }
    }
}

impl core::error::Error for AttestError {}

/// What the leaves want aligned.
#[repr(C, align(1024))]
struct Aligned<T>(T);

/// A report on this TD with `data` as REPORTDATA. One TDCALL.
///
/// # Errors
/// See [`AttestError`].
pub fn report(
    memory: &Memory,
    data: &[u8; REPORT_DATA_BYTES],
) -> Result<Box<TdReport>, AttestError> {
    let mut report = Box::new(Aligned(TdReport::new_zeroed()));
    let data = Box::new(Aligned(*data));
    let to = private(memory, (&raw mut report.0).addr())?;
    let from = private(memory, (&raw const data.0).addr())?;
    counts::tdcall(tdg::MR_REPORT);
    // SAFETY: the report is ours, 1024 bytes at 1024 bytes of alignment, and any bytes are one.
    let answer = unsafe { guest::mr_report(Gpa::Private(to), Gpa::Private(from)) };
    answer.map_err(AttestError::Refused)?;
    Ok(Box::new(report.0.clone()))
}

/// Whether `mac` was made on this platform. One TDCALL.
///
/// # Errors
/// [`AttestError::Refused`] with INVALID_REPORTMACSTRUCT or INVALID_CPUSVN: it was not.
pub fn verify(memory: &Memory, mac: &ReportMac) -> Result<(), AttestError> {
    let mac = Box::new(Aligned(mac.clone()));
    let at = private(memory, (&raw const mac.0).addr())?;
    counts::tdcall(tdg::MR_VERIFYREPORT);
    guest::mr_verifyreport(at).map_err(AttestError::Refused)
}

/// RTMR := SHA-384(RTMR, `digest`). One TDCALL.
///
/// # Errors
/// See [`AttestError`].
pub fn extend(memory: &Memory, rtmr: Rtmr, digest: &[u8; DIGEST_BYTES]) -> Result<(), AttestError> {
    let digest = Box::new(Aligned(*digest));
    let at = private(memory, (&raw const digest.0).addr())?;
    counts::tdcall(tdg::MR_RTMR_EXTEND);
    guest::mr_rtmr_extend(at, rtmr).map_err(AttestError::Refused)
}

/// The guest-physical address of something on the heap.
fn private(memory: &Memory, address: usize) -> Result<PrivateGpa, AttestError> {
    let gpa = memory.physical_address(address as u64).ok_or(AttestError::NoAddress)?;
    PrivateGpa::try_new(gpa, memory.gpa_width()).map_err(|_| AttestError::NoAddress)
}
