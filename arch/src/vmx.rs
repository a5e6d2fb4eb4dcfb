//! VMX operation, without which SEAMCALL is an undefined instruction. [ABI-H 1.1]
//!
//! A host enters it once, before its first SEAMCALL, as KVM does: CPUID shows VMX, the
//! firmware has switched it on (IA32_FEATURE_CONTROL), CR4.VMXE is set, and VMXON names a
//! page that carries the CPU's VMCS revision. [SDM3 24.6-24.7]
//!
//! ```no_run
//! use arch::{BootCell, vmx};
//! static REGION: BootCell<vmx::Region> = BootCell::new(vmx::Region::new());
//! if vmx::is_supported()
//!     && let Some(region) = REGION.take()
//! {
//!     // SAFETY: memory is identity-mapped.
//!     let entered = unsafe { vmx::enter(region) };
//! }
//! ```
#![expect(unsafe_code, reason = "VMXON, VMXOFF, INVEPT, CR4 and MSRs")]

use core::arch::asm;
use core::arch::x86_64::__cpuid;
use core::fmt;

use x86_64::registers::control::{Cr4, Cr4Flags};

use crate::msr;

const FEATURE_CONTROL: u32 = 0x3A;
const VMX_BASIC: u32 = 0x480;

/// IA32_FEATURE_CONTROL: locked, and VMX outside SMX is enabled. [SDM3 24.7]
const LOCKED_WITH_VMX: u64 = 1 << 0 | 1 << 2;
/// IA32_VMX_BASIC: the VMCS revision. [SDM3 A.1]
const REVISION: u64 = 0x7FFF_FFFF;

/// The page that VMXON names. The CPU owns it until VMXOFF.
#[repr(C, align(4096))]
#[derive(Clone, Debug)]
pub struct Region([u8; 4096]);

impl Region {
    /// A page without a revision yet: [`enter`] writes it.
    #[must_use]
    pub const fn new() -> Self {
        Self([0; 4096])
    }
}

impl Default for Region {
    fn default() -> Self {
        Self::new()
    }
}

/// Why the CPU is not in VMX operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotEntered {
    /// The firmware has not enabled VMX, or left it unlocked: IA32_FEATURE_CONTROL.
    Disabled(u64),
    /// VMXON failed: the CPU is in VMX operation already, or does not take the region.
    Failed,
}

impl fmt::Display for NotEntered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled(value) => {
                write!(f, "VMX is off in the host's firmware (IA32_FEATURE_CONTROL is {value:#x})")
            }
            Self::Failed => f.write_str("VMXON failed"),
        }
    }
}

impl core::error::Error for NotEntered {}

/// Whether the CPU has VMX: CPUID.1:ECX bit 5.
#[must_use]
pub fn is_supported() -> bool {
    __cpuid(1).ecx >> 5 & 1 == 1
}

/// Enters VMX operation; CR4.VMXE stays set also if VMXON fails.
///
/// # Errors
/// See [`NotEntered`].
///
/// # Safety
/// CPL 0 with paging on, [`is_supported`], and `region` is mapped at its physical address.
pub unsafe fn enter(region: &'static mut Region) -> Result<(), NotEntered> {
    // SAFETY: a CPU with VMX has this MSR.
    let control = unsafe { msr::read(FEATURE_CONTROL) };
    if control & LOCKED_WITH_VMX != LOCKED_WITH_VMX {
        return Err(NotEntered::Disabled(control));
    }
    // SAFETY: as above.
    let revision = unsafe { msr::read(VMX_BASIC) } & REVISION;
    region.0[..4].copy_from_slice(&(revision as u32).to_le_bytes());
    // SAFETY: VMXE only allows VMXON.
    unsafe { Cr4::update(|cr4| *cr4 |= Cr4Flags::VIRTUAL_MACHINE_EXTENSIONS) };
    // SAFETY: the region is the CPU's for ever by its lifetime, and mapped where it is.
    let done = unsafe { vmxon((&raw mut *region).expose_provenance() as u64) };
    if done { Ok(()) } else { Err(NotEntered::Failed) }
}

/// VMXON of the region at physical address `region`: whether it succeeded.
///
/// # Safety
/// As for [`enter`], with CR4.VMXE set; if the page at `region` is one that the CPU takes,
/// it is the CPU's until VMXOFF.
#[must_use]
pub unsafe fn vmxon(region: u64) -> bool {
    let failed: u8;
    // SAFETY: reads the local and the page; VMfail sets CF or ZF. TEST clears both, so that
    // the answer is a certain one too where a broken CPU skips VMXON.
    unsafe {
        asm!("test {at}, {at}", "vmxon [{at}]", "setbe {failed}", at = in(reg) &raw const region,
             failed = out(reg_byte) failed, options(nostack));
    }
    failed == 0
}

/// Leaves VMX operation: SEAMCALL is undefined again. CR4.VMXE stays set.
///
/// # Safety
/// CPL 0 in VMX operation.
pub unsafe fn leave() {
    // SAFETY: changes no memory; the CPU gives the region back, which nobody reads.
    unsafe { asm!("vmxoff", options(nostack)) };
}

/// INVEPT of all contexts: the CPU forgets every translation that it has from an EPT. Whether it
/// succeeded: it fails where IA32_VMX_EPT_VPID_CAP has no such INVEPT. [SDM3 31.3]
///
/// # Safety
/// CPL 0 in VMX operation.
#[must_use]
pub unsafe fn invept_all() -> bool {
    const ALL_CONTEXTS: u64 = 2;
    /// EPTP, which counts for a single context alone, and a reserved word.
    const DESCRIPTOR: [u64; 2] = [0; 2];
    // SAFETY: the caller's promise; the descriptor is a valid one.
    unsafe { invept(ALL_CONTEXTS, &DESCRIPTOR) }
}

/// INVEPT of `kind` (1 = one context, 2 = all) with `descriptor`: EPTP and 0. Whether it succeeded.
///
/// # Safety
/// CPL 0 in VMX operation. Nothing is written: the worst is a VMfail.
#[must_use]
pub unsafe fn invept(kind: u64, descriptor: &[u64; 2]) -> bool {
    let failed: u8;
    // SAFETY: reads the descriptor; VMfail sets CF or ZF. CMP clears ZF and sets CF, so that a CPU
    // that skips INVEPT has failed.
    unsafe {
        asm!("xor {zero:e}, {zero:e}", "cmp {zero:e}, 1", "invept {kind}, [{at}]", "setbe {failed}",
             zero = out(reg) _, kind = in(reg) kind, at = in(reg) descriptor,
             failed = out(reg_byte) failed, options(nostack));
    }
    failed == 0
}
