//! Causes that the host is not asked about: the instruction gets the exception of a processor
//! without it, or is done in the TD. The result is the exception's vector, or 0.
#![expect(unsafe_code, reason = "instructions that are refused")]

use core::arch::asm;
use core::arch::x86_64::__cpuid;

use abi::ExitReason;
use abi::ghci::function;
use tdcall::ghci::{CacheOperation, mask};

use super::step::{Expected, Steps, watch};
use crate::caught;
use crate::fault::Fault;
use crate::msr;
use crate::td::{Td, Tdcall};

/// x2APIC: error status; bit 5 is an illegal vector that was sent.
const ESR: u32 = 0x828;
const SEND_ILLEGAL_VECTOR: u64 = 1 << 5;
/// x2APIC: sends a vector to this CPU. Its offset in the APIC page.
const SELF_IPI: u32 = 0x83F;
const SELF_IPI_OFFSET: u64 = 0x3F0;
const ILLEGAL_VECTOR: u64 = 5;
/// CR4.MCE, which a TD can not clear.
const MACHINE_CHECK: u64 = 1 << 6;
/// CPUID(1).ECX: MONITOR and MWAIT are native.
const MONITOR: u32 = 1 << 3;

const UD: u64 = Fault::InvalidOpcode as u64;
const GP: u64 = Fault::GeneralProtection as u64;

/// Executes an instruction that is prepared for an exception; its vector, or 0.
macro_rules! raised {
    ($instruction:literal, $rax:expr) => {{
        let mut rax: u64 = $rax;
        // SAFETY: refused, the instruction does nothing; WBINVD changes no memory.
        unsafe {
            asm!(caught!($instruction), inout("rax") rax, in("rcx") 0_u64, in("rdx") 0_u64,
                 options(nostack));
        }
        Fault::from_rax(rax).map_or(0, |fault| fault as u64)
    }};
}

pub(super) fn invd(steps: &mut Steps) {
    refused(steps, "INVD", ExitReason::INVD, GP, || raised!("invd", 0));
}

pub(super) fn vmcall(steps: &mut Steps) {
    refused(steps, "VMCALL", ExitReason::VMCALL, UD, || raised!("vmcall", 0));
}

pub(super) fn monitor(steps: &mut Steps) {
    if monitor_is_native() {
        return steps.skip("MONITOR is native");
    }
    let line = 0_u64;
    let address = (&raw const line).addr() as u64;
    refused(steps, "MONITOR", ExitReason::MONITOR, UD, || raised!("monitor", address));
}

pub(super) fn mwait(steps: &mut Steps) {
    if monitor_is_native() {
        return steps.skip("MWAIT is native");
    }
    refused(steps, "MWAIT", ExitReason::MWAIT, UD, || raised!("mwait", 0));
}

fn monitor_is_native() -> bool {
    __cpuid(1).ecx & MONITOR != 0
}

fn expected(cause: &'static str, reason: ExitReason) -> Expected {
    Expected { cause, reason, qualification: (0, u64::MAX), gpa: None, call: None }
}

fn refused(
    steps: &mut Steps,
    cause: &'static str,
    reason: ExitReason,
    vector: u64,
    act: impl FnOnce() -> u64,
) {
    let (raised, seen) = watch(act);
    steps.routed(&expected(cause, reason), seen, raised, vector);
}

/// MOV of RAX to CR4: the qualification is the register's number.
pub(super) fn control_register(steps: &mut Steps) {
    let cr4: u64;
    // SAFETY: reading CR4 has no effect.
    unsafe { asm!("mov {}, cr4", out(reg) cr4, options(nostack)) };
    let (raised, seen) = watch(|| raised!("mov cr4, rax", cr4 & !MACHINE_CHECK));
    let expected =
        Expected { qualification: (4, u64::MAX), ..expected("MOV CR4", ExitReason::CR_ACCESS) };
    steps.routed(&expected, seen, raised, GP);
}

/// The host may flush or not; asked without the exception, it says which.
pub(super) fn write_back(steps: &mut Steps) {
    let is_done = Td.wbinvd(CacheOperation::WriteBackInvalidate).is_ok();
    let (raised, seen) = watch(|| raised!("wbinvd", 0));
    let call = is_done.then_some((function::WBINVD, mask::WBINVD));
    let expected = Expected { call, ..expected("WBINVD", ExitReason::WBINVD) };
    steps.routed(&expected, seen, raised, if is_done { 0 } else { GP });
}

/// The exception comes behind the WRMSR; the error is in the register after the next write
/// to it.
pub(super) fn illegal_interrupt(steps: &mut Steps) {
    let write = |index, value| {
        // SAFETY: an illegal vector interrupts nobody; the error register takes 0.
        unsafe { msr::write(index, value) }.is_ok()
    };
    let (is_sent, seen) = watch(|| write(SELF_IPI, ILLEGAL_VECTOR));
    let errors = if is_sent && write(ESR, 0) { msr::read(ESR).unwrap_or(0) } else { 0 };
    let expected = Expected {
        qualification: (SELF_IPI_OFFSET, u64::MAX),
        ..expected("SELFIPI", ExitReason::APIC_WRITE)
    };
    steps.routed(&expected, seen, errors, SEND_ILLEGAL_VECTOR);
}
