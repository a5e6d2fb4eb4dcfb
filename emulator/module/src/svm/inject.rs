//! Events: what the module injects, and what an exit interrupted. [APM2 15.20]
//!
//! Both fields of the VMCB have one format:
//!
//! ```text
//! 63        32  31      11  10 9 8  7      0
//! error code    valid   EV    type   vector
//! ```

use super::vmcb::{Vmcb, rflags};
use crate::machine::Exception;

const VALID: u64 = 1 << 31;
const HAS_ERROR: u64 = 1 << 11;
const TYPE_SHIFT: u32 = 8;
const TYPE_MASK: u64 = 7;

/// Event types.
mod kind {
    pub(super) const INTERRUPT: u64 = 0;
    pub(super) const NMI: u64 = 2;
    pub(super) const EXCEPTION: u64 = 3;
    pub(super) const SOFTWARE: u64 = 4;
}

/// An event as EVENTINJ holds it; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Event(pub u64);

impl Event {
    /// No event.
    pub(super) const NONE: Self = Self(0);
    /// A machine check.
    pub(super) const MC: Self = Self::exception(18, None);
    /// An invalid opcode.
    pub(super) const UD: Self = Self::exception(6, None);
    /// A general-protection fault with error code 0.
    pub(super) const GP: Self = Self::exception(13, Some(0));
    /// A debug exception.
    pub(super) const DB: Self = Self::exception(1, None);
    /// A non-maskable interrupt.
    pub(super) const NMI: Self = Self(VALID | kind::NMI << TYPE_SHIFT | 2);

    const fn exception(vector: u8, error: Option<u32>) -> Self {
        let bits = VALID | kind::EXCEPTION << TYPE_SHIFT | vector as u64;
        match error {
            Some(error) => Self(bits | HAS_ERROR | (error as u64) << 32),
            None => Self(bits),
        }
    }

    /// An external interrupt.
    #[must_use]
    pub(super) const fn interrupt(vector: u8) -> Self {
        Self(VALID | kind::INTERRUPT << TYPE_SHIFT | vector as u64)
    }

    /// The event that the exit interrupted, to be injected again; none for INT n,
    /// INT3 and INTO, which run again because RIP still points to them.
    #[must_use]
    pub(super) const fn interrupted(exit_int_info: u64) -> Self {
        let event = exit_int_info & (VALID | HAS_ERROR | TYPE_MASK << TYPE_SHIFT | 0xFF);
        let error = if event & HAS_ERROR != 0 { exit_int_info >> 32 << 32 } else { 0 };
        match event >> TYPE_SHIFT & TYPE_MASK {
            _ if event & VALID == 0 => Self::NONE,
            kind::SOFTWARE => Self::NONE,
            kind::EXCEPTION if matches!(event as u8, 3 | 4) => Self::NONE,
            // An interrupt taken through V_IRQ is reported as an exception. [SVM B1.5]
            kind::EXCEPTION if event as u8 >= 32 => Self::interrupt(event as u8),
            _ => Self(event | error),
        }
    }

    /// The vector that the exit interrupted, INT n included.
    #[must_use]
    pub(super) const fn interrupted_vector(exit_int_info: u64) -> Option<u8> {
        if exit_int_info & VALID != 0 { Some(exit_int_info as u8) } else { None }
    }
}

impl From<Exception> for Event {
    fn from(exception: Exception) -> Self {
        match exception {
            Exception::Ve => Self::exception(20, None),
            Exception::Ud => Self::UD,
            Exception::Gp => Self::GP,
            Exception::Df => Self::exception(8, Some(0)),
            Exception::Pf { error, .. } => Self::exception(14, Some(error)),
        }
    }
}

/// Makes the next run of the guest start with a fault at its current RIP. The pushed
/// RFLAGS have RF set, by the VMCB, since not every QEMU does it. [SVM B1.15]
pub(super) fn fault(vmcb: &mut Vmcb, exception: Exception) {
    if let Exception::Pf { cr2, .. } = exception {
        vmcb.save.cr2 = cr2;
    }
    vmcb.save.rflags |= rflags::RF;
    vmcb.control.interrupt_shadow &= !1;
    vmcb.control.event_injection = Event::from(exception).0;
}

/// Moves RIP past an instruction of `length` bytes that the module has executed: the
/// STI and MOV-SS shadows and RF end; TF makes a #DB. [ABI-G 1], [SVM B2]
pub(super) fn finish_instruction(vmcb: &mut Vmcb, length: u8) {
    /// DR6.BS.
    const SINGLE_STEP: u64 = 1 << 14;
    /// DEBUGCTL.BTF: TF traps on branches only.
    const BRANCH_TRAP: u64 = 1 << 1;
    let save = &mut vmcb.save;
    let next = save.rip.wrapping_add(u64::from(length));
    save.rip = if save.is_long64() { next } else { next & 0xFFFF_FFFF };
    save.rflags &= !rflags::RF;
    vmcb.control.interrupt_shadow &= !1;
    if save.rflags & rflags::TF != 0 && save.debugctl & BRANCH_TRAP == 0 {
        save.dr6 |= SINGLE_STEP;
        vmcb.control.event_injection = Event::DB.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    #[test]
    fn the_module_injects_the_words_of_the_manual() {
        for (exception, word) in [
            (Exception::Ve, 0x8000_0314),
            (Exception::Ud, 0x8000_0306),
            (Exception::Gp, 0x8000_0B0D),
            (Exception::Df, 0x8000_0B08),
            (Exception::Pf { cr2: 0x1234, error: 9 }, 0x9_8000_0B0E),
        ] {
            let mut vmcb = Vmcb::new_zeroed();
            vmcb.control.interrupt_shadow = 1;
            fault(&mut vmcb, exception);
            assert_eq!(vmcb.control.event_injection, word);
            assert_eq!(vmcb.save.rflags & rflags::RF, rflags::RF);
            assert_eq!(vmcb.control.interrupt_shadow, 0);
        }
        assert_eq!((Event::MC.0, Event::NMI.0), (0x8000_0312, 0x8000_0202));
    }

    #[test]
    fn an_interrupted_event_comes_back_unless_its_instruction_runs_again() {
        for (info, event) in [
            (0x0000_0314, 0),
            (0x8000_0314, 0x8000_0314),
            (0x5_8000_0B0D, 0x5_8000_0B0D),
            (0x5_8000_0306, 0x8000_0306),
            (0x8000_0481, 0),
            (0x8000_0303, 0),
            (0x8000_0355, 0x8000_0055),
            (0x8000_0202, 0x8000_0202),
        ] {
            assert_eq!(Event::interrupted(info), Event(event), "{info:#x}");
        }
        assert_eq!(Event::interrupted_vector(0x8000_0481), Some(0x81));
        assert_eq!(Event::interrupted_vector(0x0000_0481), None);
    }

    #[test]
    fn an_instruction_that_is_done_ends_shadows_and_steps() {
        let mut vmcb = Vmcb::new_zeroed();
        vmcb.save.rip = 0xFFFF_FFFE;
        vmcb.save.rflags = rflags::TF | rflags::RF;
        vmcb.control.interrupt_shadow = 1;
        finish_instruction(&mut vmcb, 4);
        assert_eq!((vmcb.save.rip, vmcb.save.rflags), (2, rflags::TF));
        assert_eq!(vmcb.control.interrupt_shadow, 0);
        assert_eq!(vmcb.control.event_injection, 0x8000_0301);
        assert_eq!(vmcb.save.dr6, 1 << 14);
    }
}
