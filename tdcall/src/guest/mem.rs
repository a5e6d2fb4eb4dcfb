//! TDG.MEM.*: private memory. [ABI-G 2.13, 11]
#![expect(unsafe_code, reason = "TDCALL")]

use abi::leaf::tdg;
use abi::page_attributes::{PageMapping, VmAttributes};
use abi::{PageLevel, PrivateGpa, Status};

use crate::error::LeafError;
use crate::retry::while_busy;

/// TDG.MEM.PAGE.ACCEPT: makes a pending page of the TD usable, filled with zeros. Busy
/// answers are retried with a bound. [ABI-G 11]
///
/// In RCX address and level.
///
/// Returns SUCCESS; PAGE_ALREADY_ACCEPTED (not an error class; detail: level found);
/// PAGE_SIZE_MISMATCH (the page is mapped in smaller pieces: accept those);
/// OPERAND_INVALID (unaligned, or too large a level); OPERAND_BUSY if it stays so.
///
/// ```no_run
/// use abi::{PageLevel, PrivateGpa};
/// let page = PrivateGpa::new(0x1000);
/// // SAFETY: no object lies there.
/// let status = unsafe { tdcall::guest::mem_page_accept(page, PageLevel::Size4K) };
/// ```
///
/// ```compile_fail,E0308
/// use abi::{GpaWidth, PageLevel, SharedGpa};
/// # fn main() -> Result<(), abi::AddressError> {
/// let shared = SharedGpa::try_new(0x1000, GpaWidth::Bits48)?;
/// // Shared memory is not accepted.
/// unsafe { tdcall::guest::mem_page_accept(shared, PageLevel::Size4K) };
/// # Ok(())
/// # }
/// ```
///
/// # Safety
/// No Rust object lies in the page: its bytes become zero, and if the VMM never gave the
/// page this call never returns.
pub unsafe fn mem_page_accept(gpa: PrivateGpa, level: PageLevel) -> Status {
    let operand = gpa.bits() | level as u64;
    while_busy(|| {
        // SAFETY: the leaf changes RAX and the page, which is the caller's to give.
        (unsafe { tdcall!(tdg::MEM_PAGE_ACCEPT, in("rcx") operand,) }, ())
    })
    .0
}

/// TDG.MEM.PAGE.ATTR.RD: how the page at `gpa` is mapped. [ABI-G 2.13]
///
/// In RCX address; out RCX mapping, RDX attributes.
///
/// # Errors
/// OPERAND_INVALID: wider than the TD's addresses; OPERAND_BUSY if it stays so.
pub fn mem_page_attr_rd(gpa: PrivateGpa) -> Result<PageMapping, Status> {
    let (status, (rcx, rdx)) = while_busy(|| {
        let (rcx, rdx): (u64, u64);
        // SAFETY: the leaf reads the secure EPT and writes RCX and RDX alone.
        let status = unsafe {
            tdcall!(tdg::MEM_PAGE_ATTR_RD, inlateout("rcx") gpa.bits() => rcx, lateout("rdx") rdx,)
        };
        (status, (rcx, rdx))
    });
    if status.is_success() { Ok(PageMapping::from_regs(rcx, rdx)) } else { Err(status) }
}

/// TDG.MEM.PAGE.ATTR.WR: what nested VMs may do with a page: the bits `mask` of
/// `attributes`. VALID in a mask invalidates translations too. [ABI-G 2.13]
///
/// In RCX address and level, RDX attributes, R8 mask; out RCX mapping, RDX attributes.
///
/// # Errors
/// OPERAND_INVALID (also for a VM that does not exist), PAGE_SIZE_MISMATCH,
/// L2_SEPT_WALK_FAILED, OPERAND_BUSY if it stays so. PAGE_ATTR_INVALID: `rdx` holds the
/// attributes that were refused.
pub fn mem_page_attr_wr(
    gpa: PrivateGpa,
    level: PageLevel,
    attributes: VmAttributes,
    mask: VmAttributes,
) -> Result<PageMapping, LeafError> {
    let (status, (rcx, rdx)) = while_busy(|| {
        let (rcx, rdx): (u64, u64);
        // SAFETY: the leaf changes the rights of nested VMs, not this TD's own.
        let status = unsafe {
            tdcall!(tdg::MEM_PAGE_ATTR_WR, inlateout("rcx") gpa.bits() | level as u64 => rcx,
                    inlateout("rdx") attributes.bits() => rdx, in("r8") mask.bits(),)
        };
        (status, (rcx, rdx))
    });
    if status.is_success() {
        Ok(PageMapping::from_regs(rcx, rdx))
    } else {
        Err(LeafError { status, rcx, rdx })
    }
}
