//! Verdicts: the number that ends a run.
//!
//! Written as a dword to the isa-debug-exit port; QEMU then exits with
//! `value * 2 + 1`. A TD writes [`PASSED`], [`CHECK_FAILED`] or
//! [`NOT_A_TRUST_DOMAIN`]; the VMM and the module write the rest.

/// The port of QEMU's isa-debug-exit device in every command line of the project.
pub const PORT: u16 = 0xF4;

/// All checks passed.
pub const PASSED: u32 = 0x10;
/// A check failed.
pub const CHECK_FAILED: u32 = 0x11;
/// The image runs, but not in a trust domain.
pub const NOT_A_TRUST_DOMAIN: u32 = 0x13;
/// The TD died: panic, triple fault, fatal error, an access it may not make.
pub const TD_DIED: u32 = 0x14;
/// The TD made no progress in the time it was given.
pub const TIMED_OUT: u32 = 0x15;
/// The VMM refused the image or its configuration.
pub const REFUSED: u32 = 0x16;
/// A bug in the module or the VMM, or a status that neither expected.
pub const EMULATOR_FAILED: u32 = 0x17;
/// The module stopped the VMM: it touched memory that is not its own.
pub const VMM_STOPPED: u32 = 0x18;

/// SEAMCALL does not reach a TDX module: there is none, or TDX or VMX is off.
pub const NO_MODULE: u32 = 0x19;

/// QEMU's exit status for a verdict.
#[must_use]
pub const fn qemu_status(verdict: u32) -> i32 {
    (verdict << 1 | 1) as i32
}

/// The verdict in QEMU's exit status, if there is one.
#[must_use]
pub const fn from_qemu_status(status: i32) -> Option<u32> {
    if status > 0 && status & 1 == 1 { Some(status as u32 >> 1) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_survives_qemu() {
        assert_eq!(qemu_status(PASSED), 33);
        for verdict in PASSED..=NO_MODULE {
            assert_eq!(from_qemu_status(qemu_status(verdict)), Some(verdict));
        }
        assert_eq!(from_qemu_status(0), None);
    }
}
