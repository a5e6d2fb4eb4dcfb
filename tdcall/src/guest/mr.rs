//! TDG.MR.*: measurements and reports. [ABI-G 2.3, 2.5, 2.12, 13]
#![expect(unsafe_code, reason = "TDCALL")]

use abi::leaf::tdg;
use abi::{Gpa, PrivateGpa, Status};

use crate::error::done;
use crate::retry::while_busy;

/// A run-time measurement register.
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rtmr {
    /// RTMR0.
    Rtmr0 = 0,
    /// RTMR1.
    Rtmr1 = 1,
    /// RTMR2.
    Rtmr2 = 2,
    /// RTMR3.
    Rtmr3 = 3,
}

/// TDG.MR.RTMR.EXTEND: RTMR := SHA-384(RTMR, the 48 bytes at `data`), which is 64-byte
/// aligned. [ABI-G 2.3]
///
/// In RCX address, RDX index.
///
/// # Errors
/// OPERAND_INVALID: unaligned; OPERAND_BUSY (detail: RTMR) if it stays so.
pub fn mr_rtmr_extend(data: PrivateGpa, rtmr: Rtmr) -> Result<(), Status> {
    let (status, ()) = while_busy(|| {
        // SAFETY: the leaf reads 48 bytes and writes RAX alone.
        let status =
            unsafe { tdcall!(tdg::MR_RTMR_EXTEND, in("rcx") data.bits(), in("rdx") rtmr as u64,) };
        (status, ())
    });
    done(status)
}

/// TDG.MR.REPORT: writes an [`abi::report::TdReport`] to `report` (1024 bytes, aligned to
/// them), with the 64 bytes at `data` (aligned to 64) as REPORTDATA. Both may lie in private
/// or shared memory. [ABI-G 2.5]
///
/// In RCX report, RDX data, R8 = 0 (sub-type).
///
/// # Errors
/// OPERAND_INVALID: unaligned; OPERAND_BUSY (detail: RTMR) if it stays so.
///
/// # Safety
/// No Rust object lies in the 1024 bytes.
pub unsafe fn mr_report(report: Gpa, data: Gpa) -> Result<(), Status> {
    let (status, ()) = while_busy(|| {
        // SAFETY: the leaf writes RAX and the report, which is the caller's to give.
        let status = unsafe {
            tdcall!(tdg::MR_REPORT, in("rcx") report.bits(), in("rdx") data.bits(),
                    in("r8") 0_u64,)
        };
        (status, ())
    });
    done(status)
}

/// TDG.MR.VERIFYREPORT: whether the [`abi::report::ReportMac`] at `report_mac` (256 bytes,
/// aligned to them) was made on this platform. [ABI-G 2.12]
///
/// In RCX address.
///
/// # Errors
/// INVALID_REPORTMACSTRUCT, INVALID_CPUSVN: it was not; OPERAND_INVALID with detail RAX: the
/// CPU can not verify reports, with RCX: unaligned.
pub fn mr_verifyreport(report_mac: PrivateGpa) -> Result<(), Status> {
    // SAFETY: the leaf reads 256 bytes and writes RAX alone.
    done(unsafe { tdcall!(tdg::MR_VERIFYREPORT, in("rcx") report_mac.bits(),) })
}
