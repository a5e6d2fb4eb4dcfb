//! What the tests of this folder share.

use crate::machine::CpuMode;

/// A vCPU in 64-bit kernel code with the state that a kernel sets up.
pub(super) fn long_mode() -> CpuMode {
    CpuMode { cpl: 0, long64: true, cr0: 0x8001_0033, cr4: 0x0004_0660, xcr0: 3, rflags: 0x202 }
}

/// A vCPU as TDH.VP.INIT leaves it.
pub(super) fn reset() -> CpuMode {
    CpuMode { cpl: 0, long64: false, cr0: 0x31, cr4: 0x40, xcr0: 1, rflags: 2 }
}
