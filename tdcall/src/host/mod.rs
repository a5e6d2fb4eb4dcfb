//! Host leaves: SEAMCALL, answered by the TDX module. [ABI-H 3]
//!
//! One function a leaf, named as the specification names it. The registers that carry
//! more about a failure come back in [`LeafError`]: they are valid on error too.
//!
//! A binary that calls these keeps section `.extable` and lets its #UD and #GP handlers
//! use `arch::extable`; without a module the status is then [`Status::SEAMCALL_UD`].
//!
//! SEPT levels are those of the entry: 0 = 4 KiB page, 1 = 2 MiB, 2 = 1 GiB, 3 and 4 above.
//! Service TDs, migration, and the versions of leaves that take pages for nested VMs are left
//! to [`call`].
//!
//! Every function that gives a page to the module is unsafe: the page is gone for Rust
//! until the module gives it back.

mod manage;
mod mem;
mod mng;
mod phymem;
mod read;
mod sys;
mod sys_query;
mod vp;
mod vp_fields;

use abi::leaf::versioned;
use abi::{Regs, Status};

use crate::error::{done, done_or};

pub use crate::error::{FieldRead, LeafError};
pub use manage::{mem_page_demote, mem_page_promote, mem_page_relocate};
pub use mem::{
    Removed, mem_page_add, mem_page_aug, mem_page_remove, mem_range_block, mem_range_unblock,
    mem_sept_add, mem_sept_remove, mem_track, mr_extend, mr_finalize,
};
pub use mng::{
    mng_addcx, mng_create, mng_init, mng_key_config, mng_key_freeid, mng_key_reclaimid, mng_rd,
    mng_rd_next, mng_vpflushdone, mng_wr,
};
pub use phymem::{
    PageMetadata, phymem_cache_wb, phymem_page_rdmd, phymem_page_reclaim, phymem_page_wbinvd,
};
pub use read::{SeptEntry, mem_rd, mem_sept_rd, mem_wr};
pub use sys::{sys_config, sys_init, sys_key_config, sys_lp_init, sys_tdmr_init};
pub use sys_query::{
    SysInfoSizes, sys_info, sys_lp_shutdown, sys_rd, sys_rd_next, sys_rdall, sys_shutdown,
    sys_update,
};
pub use vp::{vp_addcx, vp_create, vp_enter, vp_enter_with_xmm, vp_flush, vp_init, vp_init_v0};
pub use vp_fields::{vp_rd, vp_rd_next, vp_wr};

/// RAX of a SEAMCALL, for [`call`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf(u64);

impl Leaf {
    /// A leaf of [`abi::leaf::tdh`], or any other number, in a version. [ABI-H 1.2]
    #[must_use]
    pub const fn new(number: u16, version: u8) -> Self {
        Self(versioned(number as u64, version))
    }

    /// Any RAX: reserved bits, and bit 63, by which the CPU calls the P-SEAMLDR.
    #[must_use]
    pub const fn from_rax(rax: u64) -> Self {
        Self(rax)
    }

    /// RAX.
    #[must_use]
    pub const fn rax(self) -> u64 {
        self.0
    }
}

/// A SEAMCALL with all registers of `regs` except RAX (that is `leaf`), RSP and RBP; they
/// come out as the module left them, on errors too. No retry. [ABI-H 2.6]
///
/// After VMfailInvalid, #UD or #GP they come out as they went in.
///
/// # Safety
/// What the leaf does to memory is sound: the pages that it takes or writes are the caller's
/// to give, and no Rust object lies in them. For VP.ENTER see [`vp_enter`].
#[expect(unsafe_code, reason = "SEAMCALL")]
pub unsafe fn call(leaf: Leaf, regs: &mut Regs) -> Status {
    // SAFETY: reads and writes `regs`; the rest is the caller's promise.
    unsafe { seamcall_all!(leaf.0, regs) }
}

/// Repeats a leaf that gives its answer in RAX alone.
macro_rules! plain_leaf {
    ($leaf:expr, $($operands:tt)*) => {
        plain_leaf!(while_busy: $leaf, $($operands)*)
    };
    ($repeat:ident: $leaf:expr, $($operands:tt)*) => {{
        let (status, ()) = $repeat(|| {
            // SAFETY: the leaf writes RAX alone; what it takes is the caller's promise.
            (unsafe { seamcall!($leaf, $($operands)*) }, ())
        });
        done(status)
    }};
}
use plain_leaf;

/// Repeats a leaf that takes RCX and RDX and gives SEPT entry information in both.
macro_rules! walking_leaf {
    ($leaf:expr, $rcx:expr, $rdx:expr, $($operands:tt)*) => {{
        let (status, (rcx, rdx)) = while_busy(|| {
            let (rcx, rdx): (u64, u64);
            // SAFETY: RAX, RCX and RDX are written, and what is in the operands; what the
            // leaf takes is the caller's promise.
            let status = unsafe {
                seamcall!($leaf, inlateout("rcx") $rcx => rcx, inlateout("rdx") $rdx => rdx,
                          $($operands)*)
            };
            (status, (rcx, rdx))
        });
        done_or(status, rcx, rdx).map(|()| (rcx, rdx))
    }};
}
use walking_leaf;
