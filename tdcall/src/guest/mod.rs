//! Guest leaves: TDCALL, answered by the TDX module. [ABI-G 2]
//!
//! One function a leaf, named as the specification names it. A TDCALL outside a TD, outside
//! 64-bit mode or at CPL > 0 raises #UD or #GP: these functions are for code that knows that
//! it runs in a TD. [ABI-G 1]
//!
//! A leaf with a memory operand checks the address first; then, if the page is not there or
//! not accepted, it raises #VE or exits to the VMM, and runs again after that. [ABI-G 2.0]

mod l2;
mod mem;
mod mr;
mod servtd;
mod sys;
mod vm;
mod vp;

use abi::leaf::versioned;
use abi::{Regs, Status};

pub use crate::error::{FieldRead, LeafError};
pub use l2::{L2Entry, vp_enter, vp_invept, vp_invvpid};
pub use mem::{mem_page_accept, mem_page_attr_rd, mem_page_attr_wr};
pub use mr::{Rtmr, mr_report, mr_rtmr_extend, mr_verifyreport};
pub use servtd::{Binding, ServtdError, ServtdRead, TdUuid, servtd_rd, servtd_wr};
pub use sys::{sys_rd, sys_rd_next, sys_rdall};
pub use vm::{vm_rd, vm_rd_next, vm_wr};
pub use vp::{VpInfo, vp_cpuidve_set, vp_info, vp_rd, vp_rd_next, vp_veinfo_get, vp_wr};

/// RAX of a TDCALL, for [`call`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf(u64);

impl Leaf {
    /// A leaf of [`abi::leaf::tdg`], or any other number, in a version. [ABI-G 1]
    #[must_use]
    pub const fn new(number: u16, version: u8) -> Self {
        Self(versioned(number as u64, version))
    }

    /// Any RAX, reserved bits too.
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

/// A TDCALL with all registers of `regs` except RAX (that is `leaf`), RSP and RBP; they come
/// out as the module, or the VMM, left them, on errors too. No retry.
///
/// For what no typed function can say: leaves that are newer than this crate, vendor VMCALLs,
/// and operands that are not legal.
///
/// ```no_run
/// use abi::Regs;
/// use tdcall::guest;
/// // SAFETY: a leaf that does not exist changes no memory.
/// let status = unsafe { guest::call(guest::Leaf::new(99, 0), &mut Regs::default()) };
/// ```
///
/// ```compile_fail,E0308
/// use abi::Regs;
/// use tdcall::{guest, host};
/// // A host leaf is not for a guest.
/// let _ = unsafe { guest::call(host::Leaf::new(33, 0), &mut Regs::default()) };
/// ```
///
/// # Safety
/// What the leaf does to memory is sound: no Rust object lies in a page that it, or the VMM
/// for a VP.VMCALL, writes or takes.
#[expect(unsafe_code, reason = "TDCALL")]
pub unsafe fn call(leaf: Leaf, regs: &mut Regs) -> Status {
    // SAFETY: reads and writes `regs`; the rest is the caller's promise.
    unsafe { tdcall_all!(leaf.0, regs) }
}
