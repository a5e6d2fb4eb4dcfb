//! TDH.MEM.*, TDH.MR.*: private memory. [ABI-H 3.7, 3.8]
//!
//! RCX and RDX of a [`LeafError`] are the SEPT entry where the walk stopped and its level
//! and state [ABI-H 7.1], or zeros if the leaf failed before the walk.
#![expect(unsafe_code, reason = "SEAMCALL")]

use abi::leaf::tdh;
use abi::{Hpa, PageLevel, PrivateGpa, Status};

use super::{LeafError, done, done_or, plain_leaf, walking_leaf};
use crate::retry::while_busy;

/// TDH.MEM.SEPT.ADD version 0: adds a SEPT page for the range of `level` (1 = 2 MiB entry and
/// up) around `gpa`. In RCX, RDX TDR, R8 page. [ABI-H 3.7]
///
/// # Errors
/// EPT_WALK_FAILED, EPT_ENTRY_STATE_INCORRECT, PAGE_METADATA_INCORRECT.
///
/// # Safety
/// The page is the caller's to give.
pub unsafe fn mem_sept_add(
    gpa: PrivateGpa,
    level: u8,
    tdr: Hpa,
    page: Hpa,
) -> Result<(), LeafError> {
    let operand = gpa.bits() | u64::from(level);
    walking_leaf!(tdh::MEM_SEPT_ADD, operand, tdr.bits(), in("r8") page.bits(),).map(drop)
}

/// TDH.MEM.PAGE.ADD: copies `source` into `page` and maps it at `gpa`, before MR.FINALIZE;
/// the address is measured. In RCX, RDX TDR, R8 page, R9 source. [ABI-H 3.7]
///
/// ```no_run
/// use abi::{Hpa, PrivateGpa};
/// let (tdr, page, source) = (Hpa::new(0x1000), Hpa::new(0x2000), Hpa::new(0x3000));
/// // SAFETY: the page is nobody's.
/// let _ = unsafe { tdcall::host::mem_page_add(PrivateGpa::new(0), tdr, page, source) };
/// ```
///
/// ```compile_fail,E0308
/// use abi::Hpa;
/// let (tdr, page, source) = (Hpa::new(0x1000), Hpa::new(0x2000), Hpa::new(0x3000));
/// // Where the page is in the host is not where it is in the TD.
/// let _ = unsafe { tdcall::host::mem_page_add(page, tdr, page, source) };
/// ```
///
/// # Errors
/// OP_STATE_INCORRECT, EPT_WALK_FAILED, EPT_ENTRY_STATE_INCORRECT, PAGE_METADATA_INCORRECT.
///
/// # Safety
/// The page is the caller's to give.
pub unsafe fn mem_page_add(
    gpa: PrivateGpa,
    tdr: Hpa,
    page: Hpa,
    source: Hpa,
) -> Result<(), LeafError> {
    walking_leaf!(tdh::MEM_PAGE_ADD, gpa.bits(), tdr.bits(), in("r8") page.bits(),
                  in("r9") source.bits(),)
    .map(drop)
}

/// TDH.MR.EXTEND: measures the 256 bytes at `gpa`. In RCX, RDX TDR. [ABI-H 3.7]
///
/// # Errors
/// OPERAND_INVALID (alignment), EPT_ENTRY_NOT_PRESENT.
pub fn mr_extend(gpa: PrivateGpa, tdr: Hpa) -> Result<(), LeafError> {
    walking_leaf!(tdh::MR_EXTEND, gpa.bits(), tdr.bits(),).map(drop)
}

/// TDH.MR.FINALIZE: closes the measurement; the TD may run. In RCX. [ABI-H 3.7]
///
/// # Errors
/// NO_VCPUS, OP_STATE_INCORRECT.
pub fn mr_finalize(tdr: Hpa) -> Result<(), Status> {
    plain_leaf!(tdh::MR_FINALIZE, in("rcx") tdr.bits(),)
}

/// TDH.MEM.PAGE.AUG: maps `page` (4 KiB or 2 MiB) at `gpa` as pending. In RCX, RDX TDR, R8.
/// [ABI-H 3.7]
///
/// # Errors
/// EPT_WALK_FAILED (a SEPT page is missing), EPT_ENTRY_STATE_INCORRECT,
/// PAGE_METADATA_INCORRECT.
///
/// # Safety
/// The page is the caller's to give.
pub unsafe fn mem_page_aug(
    gpa: PrivateGpa,
    level: PageLevel,
    tdr: Hpa,
    page: Hpa,
) -> Result<(), LeafError> {
    let operand = gpa.bits() | level as u64;
    walking_leaf!(tdh::MEM_PAGE_AUG, operand, tdr.bits(), in("r8") page.bits(),).map(drop)
}

/// TDH.MEM.RANGE.BLOCK: no new translation of the range is made. In RCX, RDX TDR.
/// [ABI-H 3.8]
///
/// # Errors
/// EPT_WALK_FAILED, EPT_ENTRY_STATE_INCORRECT. GPA_RANGE_ALREADY_BLOCKED is a success.
pub fn mem_range_block(gpa: PrivateGpa, level: u8, tdr: Hpa) -> Result<(), LeafError> {
    let operand = gpa.bits() | u64::from(level);
    walking_leaf!(tdh::MEM_RANGE_BLOCK, operand, tdr.bits(),).map(drop)
}

/// TDH.MEM.RANGE.UNBLOCK: undoes MEM.RANGE.BLOCK, after tracking. In RCX, RDX TDR.
/// [ABI-H 3.8]
///
/// # Errors
/// EPT_ENTRY_STATE_INCORRECT (not blocked), TLB_TRACKING_NOT_DONE (detail: SEPT_TREE).
pub fn mem_range_unblock(gpa: PrivateGpa, level: u8, tdr: Hpa) -> Result<(), LeafError> {
    let operand = gpa.bits() | u64::from(level);
    walking_leaf!(tdh::MEM_RANGE_UNBLOCK, operand, tdr.bits(),).map(drop)
}

/// TDH.MEM.TRACK: starts a new TLB epoch. In RCX. [ABI-H 3.8]
///
/// # Errors
/// PREVIOUS_TLB_EPOCH_BUSY: a vCPU has not left the TD since the last one.
pub fn mem_track(tdr: Hpa) -> Result<(), Status> {
    plain_leaf!(tdh::MEM_TRACK, in("rcx") tdr.bits(),)
}

/// A page that left a TD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Its host-physical address, as the module tells it.
    pub page: u64,
}

/// TDH.MEM.PAGE.REMOVE: takes a blocked, tracked page from the TD. In RCX, RDX TDR; out RCX
/// the page. [ABI-H 3.8]
///
/// # Errors
/// GPA_RANGE_NOT_BLOCKED, TLB_TRACKING_NOT_DONE, EPT_ENTRY_STATE_INCORRECT.
pub fn mem_page_remove(gpa: PrivateGpa, level: PageLevel, tdr: Hpa) -> Result<Removed, LeafError> {
    let operand = gpa.bits() | level as u64;
    walking_leaf!(tdh::MEM_PAGE_REMOVE, operand, tdr.bits(),).map(|(page, _)| Removed { page })
}

/// TDH.MEM.SEPT.REMOVE version 0: takes an empty, blocked, tracked SEPT page from the TD. In
/// RCX, RDX TDR; out RCX the page. [ABI-H 3.8]
///
/// # Errors
/// EPT_PAGE_NOT_FREE and those of MEM.PAGE.REMOVE.
pub fn mem_sept_remove(gpa: PrivateGpa, level: u8, tdr: Hpa) -> Result<Removed, LeafError> {
    let operand = gpa.bits() | u64::from(level);
    walking_leaf!(tdh::MEM_SEPT_REMOVE, operand, tdr.bits(),).map(|(page, _)| Removed { page })
}
