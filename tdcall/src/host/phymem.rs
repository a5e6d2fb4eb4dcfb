//! TDH.PHYMEM.*: getting pages back. [ABI-H 3.9]
#![expect(unsafe_code, reason = "SEAMCALL")]

use abi::leaf::tdh;
use abi::{Hpa, Status};

use super::{LeafError, done, plain_leaf};
use crate::retry::while_busy;

/// What the module knows of a physical page. [ABI-H 8]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageMetadata {
    /// RCX: PAMT type.
    pub page_type: u64,
    /// RDX: TDR page of the owner.
    pub owner: u64,
    /// R8: level.
    pub level: u64,
}

/// Repeats a leaf that takes a page and gives [`PageMetadata`].
macro_rules! metadata_leaf {
    ($leaf:expr, $page:expr) => {{
        let (status, page) = while_busy(|| {
            let (page_type, owner, level): (u64, u64, u64);
            // SAFETY: changes module state alone; RCX, RDX, R8-R11 are outputs.
            let status = unsafe {
                seamcall!($leaf, inlateout("rcx") $page.bits() => page_type,
                          lateout("rdx") owner, lateout("r8") level, lateout("r9") _,
                          lateout("r10") _, lateout("r11") _,)
            };
            (status, PageMetadata { page_type, owner, level })
        });
        if status.is_success() {
            Ok(page)
        } else {
            Err(LeafError { status, rcx: page.page_type, rdx: page.owner })
        }
    }};
}

/// TDH.PHYMEM.PAGE.RECLAIM: takes a page from a TD that lost its key, TDR last. In RCX; out
/// RCX, RDX, R8. The outputs are valid in a [`LeafError`] too. [ABI-H 3.9]
///
/// # Errors
/// LIFECYCLE_STATE_INCORRECT, TD_ASSOCIATED_PAGES_EXIST, PAGE_METADATA_INCORRECT.
pub fn phymem_page_reclaim(page: Hpa) -> Result<PageMetadata, LeafError> {
    metadata_leaf!(tdh::PHYMEM_PAGE_RECLAIM, page)
}

/// TDH.PHYMEM.PAGE.RDMD: what the module knows of a page. In RCX; out RCX, RDX, R8.
/// [ABI-H 3.9]
///
/// # Errors
/// OPERAND_INVALID, OPERAND_ADDR_RANGE_ERROR.
pub fn phymem_page_rdmd(page: Hpa) -> Result<PageMetadata, LeafError> {
    metadata_leaf!(tdh::PHYMEM_PAGE_RDMD, page)
}

/// TDH.PHYMEM.CACHE.WB: writes back the caches of flushed keys; starts, then resumes while
/// interrupted, at most 10000 times as Linux does. In RCX. [ABI-H 3.10]
///
/// # Errors
/// INTERRUPTED_RESUMABLE if it stays so. NO_HKID_READY_TO_WBCACHE is a success.
pub fn phymem_cache_wb() -> Result<(), Status> {
    const CALLS: u32 = 10_000;
    let mut resume = 0_u64;
    for _ in 0..CALLS {
        let (status, ()) = while_busy(|| {
            // SAFETY: changes module state alone.
            (unsafe { seamcall!(tdh::PHYMEM_CACHE_WB, in("rcx") resume,) }, ())
        });
        if !status.is(Status::INTERRUPTED_RESUMABLE) {
            return done(status);
        }
        resume = 1;
    }
    Err(Status::INTERRUPTED_RESUMABLE)
}

/// TDH.PHYMEM.PAGE.WBINVD: writes back and invalidates the cache lines that a key left of a
/// page that is free again. In RCX: the page with the key's bits. [ABI-H 3.9]
///
/// # Errors
/// OPERAND_INVALID, PAGE_METADATA_INCORRECT.
pub fn phymem_page_wbinvd(page_with_hkid: u64) -> Result<(), Status> {
    plain_leaf!(tdh::PHYMEM_PAGE_WBINVD, in("rcx") page_with_hkid,)
}
