//! TDH.MEM.SEPT.RD, and TDH.MEM.RD/WR of debug TDs. [ABI-H 3.8, 7.1]
#![expect(unsafe_code, reason = "SEAMCALL")]

use abi::leaf::tdh;
use abi::{Hpa, PrivateGpa};

use super::{LeafError, done_or, walking_leaf};
use crate::retry::while_busy;

/// A secure-EPT entry as the module shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeptEntry {
    /// RCX: the entry, masked. A table's address is hidden.
    pub entry: u64,
    /// RDX bits 2:0.
    pub level: u8,
    /// RDX bits 15:8: the public state.
    pub state: u8,
}

impl SeptEntry {
    /// From RCX and RDX; also right for those of a [`LeafError`] of a failed walk.
    #[must_use]
    pub const fn from_regs(rcx: u64, rdx: u64) -> Self {
        Self { entry: rcx, level: rdx as u8 & 7, state: (rdx >> 8) as u8 }
    }
}

/// TDH.MEM.SEPT.RD: the entry of `level` for `gpa`. In RCX, RDX TDR; out RCX, RDX.
/// [ABI-H 3.8]
///
/// # Errors
/// EPT_WALK_FAILED, with the entry where it stopped in the [`LeafError`]; TD state.
pub fn mem_sept_rd(gpa: PrivateGpa, level: u8, tdr: Hpa) -> Result<SeptEntry, LeafError> {
    let operand = gpa.bits() | u64::from(level);
    walking_leaf!(tdh::MEM_SEPT_RD, operand, tdr.bits(),)
        .map(|(rcx, rdx)| SeptEntry::from_regs(rcx, rdx))
}

/// TDH.MEM.RD: reads the eight bytes at `gpa` (aligned to them) of a debug TD. In RCX, RDX
/// TDR; out R8. [ABI-H 3.8]
///
/// # Errors
/// TD_NON_DEBUG, EPT_ENTRY_NOT_PRESENT, EPT_ENTRY_STATE_INCORRECT.
pub fn mem_rd(gpa: PrivateGpa, tdr: Hpa) -> Result<u64, LeafError> {
    let (status, (rcx, rdx, value)) = while_busy(|| {
        let (rcx, rdx, value): (u64, u64, u64);
        // SAFETY: reads the TD's memory; RCX, RDX and R8 are the outputs.
        let status = unsafe {
            seamcall!(tdh::MEM_RD, inlateout("rcx") gpa.bits() => rcx,
                      inlateout("rdx") tdr.bits() => rdx, lateout("r8") value,)
        };
        (status, (rcx, rdx, value))
    });
    done_or(status, rcx, rdx).map(|()| value)
}

/// TDH.MEM.WR: writes eight bytes at `gpa` (aligned to them) of a debug TD; `Ok` holds the old
/// ones. In RCX, RDX TDR, R8 value; out R8. [ABI-H 3.8]
///
/// # Errors
/// As [`mem_rd`].
pub fn mem_wr(gpa: PrivateGpa, tdr: Hpa, value: u64) -> Result<u64, LeafError> {
    let (status, (rcx, rdx, old)) = while_busy(|| {
        let (rcx, rdx, old): (u64, u64, u64);
        // SAFETY: writes the TD's memory, not this program's; RCX, RDX, R8 are the outputs.
        let status = unsafe {
            seamcall!(tdh::MEM_WR, inlateout("rcx") gpa.bits() => rcx,
                      inlateout("rdx") tdr.bits() => rdx, inlateout("r8") value => old,)
        };
        (status, (rcx, rdx, old))
    });
    done_or(status, rcx, rdx).map(|()| old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_cut_into_its_fields() {
        let entry = SeptEntry::from_regs(1 << 63, 0x8401);
        assert_eq!(entry, SeptEntry { entry: 1 << 63, level: 1, state: 0x84 });
    }
}
