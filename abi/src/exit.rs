//! TD exits: what TDH.VP.ENTER returns to the VMM. [ABI-H 5.4-5.7]

use crate::{ExitReason, Gpr, Regs, Status};

/// Bits of RAX that VP.ENTER returns beside the class.
const BUS_LOCK: u64 = 1 << 26;

/// RAX after TDH.VP.ENTER: class in the upper half, VMX exit reason in the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TdExitStatus(pub u64);

impl TdExitStatus {
    /// The class: SUCCESS for ordinary exits, NON_RECOVERABLE_VCPU and the like.
    #[must_use]
    pub const fn class(self) -> Status {
        Status(self.0 & !0xFFFF_FFFF)
    }

    /// The basic exit reason. Meaningful only if the TD ran: see [`Self::entered`].
    #[must_use]
    pub const fn reason(self) -> ExitReason {
        ExitReason(self.0 as u16)
    }

    /// A bus lock was seen since the last exit.
    #[must_use]
    pub const fn bus_lock(self) -> bool {
        self.0 & BUS_LOCK != 0
    }

    /// The TD was entered: bit 63 is clear, or the exit is one of the trap-like
    /// and fatal classes that come after an entry. [ABI-H 5.7]
    #[must_use]
    pub const fn entered(self) -> bool {
        let class = self.class();
        class.is_success()
            || class.is(Status::NON_RECOVERABLE_TD_WRONG_APIC_MODE)
            || class.is(Status::CROSS_TD_FAULT)
            || class.is(Status::CROSS_TD_TRAP)
            || class.is(Status::HOST_PRIORITY_BUSY_TIMEOUT)
    }
}

/// Extended exit qualification type (RDX bits 3:0). [ABI-H 5.5]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedQualification(pub u64);

impl ExtendedQualification {
    /// No further information.
    pub const NONE: u64 = 0;
    /// TDG.MEM.PAGE.ACCEPT found no pending page.
    pub const ACCEPT: u64 = 1;
    /// TDG.MEM.PAGE.ATTR.WR found no page.
    pub const ATTR_WR: u64 = 5;
    /// Access to a pending page with PENDING_VE_DISABLE.
    pub const PENDING_EPT_VIOLATION: u64 = 6;

    /// Builds types 1 and 5. [ABI-G 10]
    #[must_use]
    pub const fn with_walk(kind: u64, requested: u8, found: u8, state: u8, leaf: bool) -> Self {
        let info = (requested & 7) as u64
            | ((found & 7) as u64) << 3
            | (state as u64) << 6
            | (leaf as u64) << 14;
        Self(kind | info << 32)
    }

    /// The type.
    #[must_use]
    pub const fn kind(self) -> u64 {
        self.0 & 0xF
    }

    /// Level that the guest asked for (types 1 and 5).
    #[must_use]
    pub const fn requested_level(self) -> u8 {
        (self.0 >> 32 & 7) as u8
    }

    /// Level at which the walk stopped (types 1 and 5).
    #[must_use]
    pub const fn found_level(self) -> u8 {
        (self.0 >> 35 & 7) as u8
    }

    /// Architectural SEPT state of the entry where the walk stopped.
    #[must_use]
    pub const fn state(self) -> u8 {
        (self.0 >> 38) as u8
    }
}

/// The register mask of VP.VMCALL: RCX bits 31:0. [ABI-G 4]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmcallMask(pub u32);

impl VmcallMask {
    /// GPRs that may ever be exposed: not RAX, RCX, RSP.
    pub const GPR_ALLOWED: u16 = 0xFFEC;

    /// Whether this GPR is exposed.
    #[must_use]
    pub const fn has(self, gpr: Gpr) -> bool {
        self.0 as u64 & gpr.bit() != 0
    }

    /// Whether XMM register `index` (0-15) is exposed.
    #[must_use]
    pub const fn has_xmm(self, index: u8) -> bool {
        self.0 >> (16 + (index & 15)) & 1 == 1
    }

    /// `regs` with every GPR outside the mask as zero, as the VMM sees it.
    #[must_use]
    pub fn expose(self, regs: &Regs) -> Regs {
        let mut seen = Regs::default();
        for gpr in Gpr::ALL.into_iter().filter(|gpr| self.has(*gpr)) {
            seen[gpr] = regs[gpr];
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_entry_is_not_an_exit() {
        assert!(!TdExitStatus(Status::OPERAND_INVALID.0 | 1).entered());
        assert!(!TdExitStatus(Status::TD_FATAL.0).entered());
        let exit = TdExitStatus(77 | 1 << 26);
        assert!(exit.entered() && exit.bus_lock());
        assert_eq!(exit.reason(), ExitReason::TDCALL);
        assert!(TdExitStatus(Status::NON_RECOVERABLE_VCPU.0 | 2).entered());
    }

    #[test]
    fn an_accept_exit_packs_the_walk() {
        let q = ExtendedQualification::with_walk(ExtendedQualification::ACCEPT, 1, 0, 4, true);
        assert_eq!(q.0, 1 | (1 | 4 << 6 | 1 << 14) << 32);
        assert_eq!((q.kind(), q.requested_level(), q.found_level(), q.state()), (1, 1, 0, 4));
    }

    #[test]
    fn only_masked_registers_are_seen() {
        let mut regs = Regs::default();
        for gpr in Gpr::ALL {
            regs[gpr] = 1000 + gpr as u64;
        }
        let seen = VmcallMask(0x0C00).expose(&regs);
        assert_eq!((seen.r10, seen.r11, seen.r12, seen.rdx), (1010, 1011, 0, 0));
    }
}
