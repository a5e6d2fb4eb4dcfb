//! Host leaves: SEAMCALL, answered by the TDX module. [ABI-H 3]
//!
//! One function a leaf, named as the specification names it. The registers that carry
//! more about a failure come back in [`LeafError`]: they are valid on error too.
//!
//! A binary that calls these keeps section `.extable` and lets its #UD and #GP handlers
//! use `arch::extable`; without a module the status is then [`Status::SEAMCALL_UD`].
//!
//! Every function that gives a page to the module is unsafe: the page is gone for Rust
//! until the module gives it back.

mod mem;
mod mng;
mod phymem;
mod sys;
mod vp;

use core::fmt;

use abi::Status;

pub use mem::{
    Removed, mem_page_add, mem_page_aug, mem_page_remove, mem_range_block, mem_sept_add,
    mem_sept_remove, mem_track, mr_extend, mr_finalize,
};
pub use mng::{
    mng_addcx, mng_create, mng_init, mng_key_config, mng_key_freeid, mng_rd, mng_vpflushdone,
};
pub use phymem::{
    PageMetadata, phymem_cache_wb, phymem_page_rdmd, phymem_page_reclaim, phymem_page_wbinvd,
};
pub use sys::{sys_config, sys_init, sys_key_config, sys_lp_init, sys_rd, sys_tdmr_init};
pub use vp::{vp_addcx, vp_create, vp_enter, vp_flush, vp_init, vp_rd, vp_wr};

/// A leaf that failed: its status, and the registers that say more, as the leaf left
/// them. Which of them mean something is in the leaf's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafError {
    /// RAX.
    pub status: Status,
    /// RCX.
    pub rcx: u64,
    /// RDX.
    pub rdx: u64,
}

impl LeafError {
    const fn new(status: Status) -> Self {
        Self { status, rcx: 0, rdx: 0 }
    }
}

impl From<Status> for LeafError {
    fn from(status: Status) -> Self {
        Self::new(status)
    }
}

impl fmt::Display for LeafError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (RCX {:#x}, RDX {:#x})", self.status, self.rcx, self.rdx)
    }
}

impl core::error::Error for LeafError {}

/// Success as `Ok`, with statuses such as GPA_RANGE_ALREADY_BLOCKED among the successes.
const fn done(status: Status) -> Result<(), Status> {
    if status.is_success() { Ok(()) } else { Err(status) }
}

/// The same with the registers of [`LeafError`].
const fn done_or(status: Status, rcx: u64, rdx: u64) -> Result<(), LeafError> {
    if status.is_success() { Ok(()) } else { Err(LeafError { status, rcx, rdx }) }
}
