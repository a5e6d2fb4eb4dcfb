//! Interrupts, as far as the kernel has any: the self-IPI of the virtual x2APIC.
//!
//! In a TD, SELF_IPI and EOI are executed by the processor without an exception; interrupts
//! are delivered by it, too. [ABI-G 14]
#![expect(unsafe_code, reason = "x2APIC registers; STI")]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use arch::msr as native;

use crate::msr;
use crate::ve::msr::X2APIC_LVT_TIMER;

use crate::memory;

/// x2APIC: end of interrupt.
const X2APIC_EOI: u32 = 0x80B;
/// x2APIC: sends a vector to this CPU.
const X2APIC_SELF_IPI: u32 = 0x83F;
/// x2APIC: spurious vector, and the APIC's own switch.
const SVR: u32 = 0x80F;
const APIC_ENABLED: u64 = 1 << 8 | 0xFF;
/// x2APIC: initial count and divider of the timer.
const TIMER_COUNT: u32 = 0x838;
const TIMER_DIVIDE: u32 = 0x83E;
const DIVIDE_BY_1: u64 = 0b1011;
/// The timer's vector, one shot.
const TIMER_VECTOR: u8 = 0xE1;
const TIMER_MASKED: u64 = 1 << 16;
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
    unsafe { native::write(X2APIC_EOI, 0) };
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

/// Halts until an interrupt comes; the local APIC's timer sends one after `ticks` ticks of the
/// bus, which is not 0. Leaves interrupts off.
pub(crate) fn halt_for(ticks: u32) {
    set(SVR, APIC_ENABLED);
    set(TIMER_DIVIDE, DIVIDE_BY_1);
    set(X2APIC_LVT_TIMER, TIMER_VECTOR.into());
    set(TIMER_COUNT, ticks.into());
    // SAFETY: STI, HLT and CLI touch no memory; what comes has a gate and a handler, which
    // keeps every register.
    unsafe { asm!("sti", "hlt", "cli") };
    set(X2APIC_LVT_TIMER, TIMER_MASKED);
}

/// Writes a register of the local APIC. A host that refuses its own device's gets no interrupts
/// to send, and the halt then lasts until another one comes.
fn set(register: u32, value: u64) {
    // SAFETY: the timer and its vector change nothing but which interrupts come.
    let _is_set = unsafe { msr::write(register, value) }.is_ok();
}

/// Lets interrupts in.
pub fn enable() {
    x86_64::instructions::interrupts::enable();
}
