//! ReportFatalError: the TD's last words. [TDVF 4.7]
#![expect(unsafe_code, reason = "TDCALL")]

use abi::ghci::{FATAL_TEXT, FATAL_TEXT_BYTES, function};
use abi::leaf::tdg;
use abi::{GhciStatus, Regs, SharedGpa};

use super::{VmcallError, mask, refused};

/// R12 bit 63: R13 holds a page.
const HAS_PAGE: u64 = 1 << 63;

/// ReportFatalError with `text` in registers, lowest byte first, padded with zeros, and an
/// error `code` in R12, whose low 16 bits should be 0 (QEMU calls others invalid). The VMM
/// is expected not to return. [TDVF 4.7]
///
/// In R12 code, R13 = 0, R14, R15, RBX, RDI, RSI, R8, R9, RDX text. Every register of the
/// mask is cleared afterwards, RBX restored.
pub fn report_fatal_error(code: u64, text: &[u8; FATAL_TEXT_BYTES]) -> VmcallError {
    report(code & !HAS_PAGE, 0, text)
}

/// The same with a 4 KiB shared page that holds more text or data: in R12 bit 63 set, R13
/// its address. [TDVF 4.7]
pub fn report_fatal_error_with_page(
    code: u64,
    page: SharedGpa,
    text: &[u8; FATAL_TEXT_BYTES],
) -> VmcallError {
    report(code | HAS_PAGE, page.bits(), text)
}

fn report(r12: u64, r13: u64, text: &[u8; FATAL_TEXT_BYTES]) -> VmcallError {
    let mut regs = Regs {
        rcx: mask::REPORT_FATAL_ERROR,
        r11: function::REPORT_FATAL_ERROR,
        r12,
        r13,
        ..Regs::default()
    };
    for (gpr, bytes) in FATAL_TEXT.into_iter().zip(text.as_chunks().0) {
        regs[gpr] = u64::from_le_bytes(*bytes);
    }
    // SAFETY: reads and writes `regs` alone.
    let status = unsafe { tdcall_all!(tdg::VP_VMCALL, &mut regs) };
    match refused::<()>((status, regs.r10)) {
        Err(error) => error,
        Ok(()) => VmcallError::Vmm(GhciStatus::SUCCESS),
    }
}
