//! Interrupts, as far as the kernel has any: the self-IPI of the virtual x2APIC.
//!
//! In a TD, SELF_IPI and EOI are executed by the processor without an exception; interrupts
//! are delivered by it, too. [ABI-G 14]
#![expect(unsafe_code, reason = "x2APIC registers; STI")]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use arch::msr;

use crate::memory;

/// x2APIC: end of interrupt.
const X2APIC_EOI: u32 = 0x80B;
/// x2APIC: sends a vector to this CPU.
const X2APIC_SELF_IPI: u32 = 0x83F;
/// The vector of [`halt_until_own_interrupt`].
const SELF_IPI_VECTOR: u8 = 0xE0;

static SELF_IPIS: AtomicU64 = AtomicU64::new(0);
static NMIS: AtomicU64 = AtomicU64::new(0);
static LAST_NMI_RIP: AtomicU64 = AtomicU64::new(0);

/// Handles a vector above the exceptions'.
pub(crate) fn on_interrupt(vector: u8) {
    if vector == SELF_IPI_VECTOR {
        SELF_IPIS.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: EOI takes 0 and changes the virtual APIC alone.
    unsafe { msr::write(X2APIC_EOI, 0) };
}

/// Handles an NMI. Raises no exception: see [`crate::traps`].
pub(crate) fn on_nmi(rip: u64) {
    NMIS.fetch_add(1, Ordering::Relaxed);
    LAST_NMI_RIP.store(rip, Ordering::Relaxed);
}

/// NMIs taken so far.
#[must_use]
pub fn nmis() -> u64 {
    NMIS.load(Ordering::Relaxed)
}

/// Where the last NMI came.
#[must_use]
pub fn last_nmi_rip() -> u64 {
    LAST_NMI_RIP.load(Ordering::Relaxed)
}

/// Self-IPIs taken so far.
#[must_use]
pub fn self_ipis() -> u64 {
    SELF_IPIS.load(Ordering::Relaxed)
}

/// Idles: sends this CPU an interrupt while interrupts are off, then halts by `sti; hlt`: the
/// interrupt is pending, so the CPU must not sleep. Leaves interrupts off. Before that, memory
/// is accepted if that is left for idle times.
pub fn halt_until_own_interrupt() {
    memory::accept_in_background();
    // SAFETY: SELF_IPI takes a vector, which has a gate and a handler; STI, HLT and CLI
    // touch no memory, and the handler keeps every register.
    unsafe {
        asm!(
            "cli",
            "wrmsr",
            "sti",
            "hlt",
            "cli",
            in("ecx") X2APIC_SELF_IPI, in("eax") u32::from(SELF_IPI_VECTOR), in("edx") 0,
        );
    }
}

/// Lets interrupts in.
pub fn enable() {
    x86_64::instructions::interrupts::enable();
}
