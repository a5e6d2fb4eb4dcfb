//! What a TD sees of its CPU: CPUID, MSRs, control registers, XCR0 and the x2APIC.
//!
//! Pure policy: every function here takes what the TD asked for and what the TD
//! is, and says what must happen. Nothing here touches the machine, so nothing
//! here can be wrong about more than the answer; `svm/` takes the exit, calls one
//! of these and acts. Every input is hostile and none panics.
//!
//! The contract is [ABI-G 5-9, 12, 14, 16]. Where the CPU underneath (QEMU TCG,
//! an AMD CPU with SVM) cannot be what that contract assumes of an Intel CPU,
//! the one list of deviations is [`platform`].

pub mod apic;
pub mod cpuid;
pub mod cpuid_table;
pub mod cr;
pub mod features;
pub mod msr;
pub mod msr_table;
pub mod platform;
mod vmx;
pub mod xcr;
mod xsave;

pub use features::TdFeatures;

/// Executes CPUID on the CPU underneath: (leaf, sub-leaf) to (EAX, EBX, ECX, EDX).
pub type NativeCpuid<'a> = dyn Fn(u32, u32) -> [u32; 4] + 'a;

#[cfg(test)]
mod tests;
