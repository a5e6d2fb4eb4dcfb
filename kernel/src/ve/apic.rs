//! APIC writes, exit reason 56, and the error register that they set. [ABI-G 5, 8]
//!
//! A self-IPI with a vector below 16. The exception is trap-like: the WRMSR is done and RIP
//! stands behind it. What is left is what an APIC does with an illegal vector: no interrupt,
//! and bit 5 of the error status register, which shows it after the next write to that
//! register [SDM3 12.5.3]. The rest of that register is the host's. The APIC error interrupt
//! stays masked: the list of MSRs has no way to unmask it.

use core::sync::atomic::{AtomicU64, Ordering};

use abi::VeInfo;
use arch::trap::TrapFrame;

use super::{RESUME_FLAG, Routed, Unroutable};

/// Page offset of SELF_IPI.
const SELF_IPI: u64 = 0x3F0;
/// ESR: send illegal vector.
const SEND_ILLEGAL_VECTOR: u64 = 1 << 5;

/// The one vCPU's.
pub(super) static ERRORS: Errors = Errors::new();

/// Errors of the part of the APIC that the processor virtualises.
#[derive(Debug)]
pub(super) struct Errors {
    pending: AtomicU64,
    shown: AtomicU64,
}

impl Errors {
    const fn new() -> Self {
        Self { pending: AtomicU64::new(0), shown: AtomicU64::new(0) }
    }

    fn note(&self, error: u64) {
        self.pending.fetch_or(error, Ordering::Relaxed);
    }

    /// A write to the register: what came up since the last one is shown from now on.
    pub(super) fn show(&self) {
        self.shown.store(self.pending.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    }

    /// The register's bits.
    pub(super) fn shown(&self) -> u64 {
        self.shown.load(Ordering::Relaxed)
    }
}

pub(super) fn route(info: &VeInfo, frame: &mut TrapFrame) -> Result<Routed, Unroutable> {
    let offset = info.qualification & 0xFFF;
    if offset != SELF_IPI {
        return Err(Unroutable::ApicRegister(offset));
    }
    ERRORS.note(SEND_ILLEGAL_VECTOR);
    frame.rflags &= !RESUME_FLAG;
    Ok(Routed { length: 0, call: None, value: SEND_ILLEGAL_VECTOR })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_shown_from_one_write_to_the_next() {
        let errors = Errors::new();
        errors.note(SEND_ILLEGAL_VECTOR);
        assert_eq!(errors.shown(), 0);
        errors.show();
        assert_eq!((errors.shown(), errors.shown()), (0x20, 0x20));
        errors.show();
        assert_eq!(errors.shown(), 0);
    }
}
