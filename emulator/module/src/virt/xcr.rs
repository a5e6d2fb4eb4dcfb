//! XSETBV and IA32_XSS. [ABI-G 7]
//!
//! XFAM names only state that the CPU has (TDH.MNG.INIT saw to it), so it alone bounds
//! both registers.

use super::TdFeatures;
use super::cr::CR4_OSXSAVE;
use crate::machine::{CpuMode, Exception};

/// XSETBV of `value` to XCR `ecx`: the new XCR0, or the exception.
///
/// The intercept of QEMU 10 comes before the CPU's own checks [SVM B1.2], so they are
/// here. QEMU 7.2 does not intercept: there `svm/` re-reads XCR0 after exits and
/// judges it by [`is_valid_xcr0`].
pub const fn xsetbv(
    ecx: u32,
    value: u64,
    td: &TdFeatures,
    mode: &CpuMode,
) -> Result<u64, Exception> {
    if mode.cr4 & CR4_OSXSAVE == 0 {
        return Err(Exception::Ud);
    }
    if mode.cpl != 0 || ecx != 0 || !is_valid_xcr0(value, td) {
        return Err(Exception::Gp);
    }
    Ok(value)
}

/// True if XCR0 may hold `value` in this TD.
pub const fn is_valid_xcr0(value: u64, td: &TdFeatures) -> bool {
    const SSE: u64 = 1 << 1;
    const AVX: u64 = 1 << 2;
    const OPMASK: u64 = 1 << 5;
    value & !td.xcr0_mask() == 0
        && value & 1 != 0
        && (value & AVX == 0 || value & SSE != 0)
        && (value & OPMASK == 0 || value & AVX != 0)
        && all_or_none(value, 7 << 5)
        && all_or_none(value, 3 << 17)
}

/// True if IA32_XSS may hold `value` in this TD.
pub const fn is_valid_xss(value: u64, td: &TdFeatures) -> bool {
    value & !td.xss_mask() == 0
}

const fn all_or_none(value: u64, bits: u64) -> bool {
    value & bits == 0 || value & bits == bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virt::features::tests::permissive;
    use crate::virt::tests::long_mode;

    #[test]
    fn xcr0_keeps_x87_and_the_groups_together() {
        let td = permissive(0x0006_dbe7);
        for value in [1, 3, 7, 0xe7, 0x203, 0x0006_0003, 0x0006_02e7] {
            assert!(is_valid_xcr0(value, &td), "{value:#x}");
        }
        for value in [0, 2, 5, 6, 0x23, 0x27, 0x67, 0xe3, 0x0002_0003, 0x0004_0003, 0x1b, 0x103] {
            assert!(!is_valid_xcr0(value, &td), "{value:#x}");
        }
    }

    #[test]
    fn xfam_bounds_xcr0_and_xss() {
        let td = permissive(3);
        assert!(is_valid_xcr0(3, &td) && !is_valid_xcr0(7, &td));
        assert!(is_valid_xss(0, &td) && !is_valid_xss(1 << 8, &td));
        let td = permissive(0x0006_dbe7);
        assert!(is_valid_xss(0xd900, &td) && !is_valid_xss(1, &td) && !is_valid_xss(1 << 10, &td));
    }

    #[test]
    fn osxsave_and_cpl_come_before_the_value() {
        let td = permissive(7);
        let mode = long_mode();
        assert_eq!(xsetbv(0, 7, &td, &mode), Ok(7));
        assert_eq!(xsetbv(1, 7, &td, &mode), Err(Exception::Gp));
        assert_eq!(xsetbv(0, 7, &td, &CpuMode { cpl: 3, ..mode }), Err(Exception::Gp));
        let without = CpuMode { cr4: mode.cr4 & !CR4_OSXSAVE, cpl: 3, ..mode };
        assert_eq!(xsetbv(1, 0, &td, &without), Err(Exception::Ud));
    }
}
