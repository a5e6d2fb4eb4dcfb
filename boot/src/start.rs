//! What the CPU was started with, against what must be so. [TDVF 1.9], [ABI-G 6]
//!
//! The VMM chooses RCX and R8, so they only have to be what the image asked for; the
//! width of addresses has to be what the module says.

use core::fmt;

use abi::{GpaWidth, Status};

/// Registers at the first instruction, as `entry.S` kept them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// EBX: width of guest-physical addresses.
    pub gpa_width_bits: u32,
    /// ECX: address of the TD HOB, low half.
    pub hob_low: u32,
    /// R8: address of the TD HOB.
    pub hob: u64,
}

impl Registers {
    /// The width of addresses, if the registers agree with `vp_info_width_bits` and with
    /// the place of the TD HOB in the image's metadata.
    ///
    /// # Errors
    /// They do not.
    pub fn check(self, vp_info_width_bits: u64, td_hob: u64) -> Result<GpaWidth, StartError> {
        let Self { gpa_width_bits, hob_low, hob } = self;
        if u64::from(gpa_width_bits) != vp_info_width_bits {
            return Err(StartError::Width { rbx: gpa_width_bits, vp_info: vp_info_width_bits });
        }
        let width = GpaWidth::from_bits(vp_info_width_bits)
            .ok_or(StartError::UnknownWidth(vp_info_width_bits))?;
        if hob != td_hob || u64::from(hob_low) != td_hob {
            return Err(StartError::Hob { rcx: hob_low, r8: hob, metadata: td_hob });
        }
        Ok(width)
    }
}

/// Why the initial state is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the Display text of each variant is its documentation")]
pub enum StartError {
    VpInfo(Status),
    Width { rbx: u32, vp_info: u64 },
    UnknownWidth(u64),
    Hob { rcx: u32, r8: u64, metadata: u64 },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::VpInfo(status) => write!(f, "TDG.VP.INFO answered {status}"),
            Self::Width { rbx, vp_info } => {
                write!(f, "GPA width: {rbx} in RBX, but {vp_info} by TDG.VP.INFO")
            }
            Self::UnknownWidth(bits) => write!(f, "GPA width {bits} is neither 48 nor 52"),
            Self::Hob { rcx, r8, metadata } => write!(
                f,
                "TD HOB at {rcx:#x} (RCX) and {r8:#x} (R8), but {metadata:#x} in the metadata"
            ),
        }
    }
}

impl core::error::Error for StartError {}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Registers = Registers { gpa_width_bits: 48, hob_low: 0x81_0000, hob: 0x81_0000 };

    #[test]
    fn registers_that_agree_give_the_width() {
        assert_eq!(GOOD.check(48, 0x81_0000), Ok(GpaWidth::Bits48));
        let wide = Registers { gpa_width_bits: 52, ..GOOD };
        assert_eq!(wide.check(52, 0x81_0000), Ok(GpaWidth::Bits52));
    }

    #[test]
    fn every_disagreement_is_refused() {
        let rows = [
            (GOOD, 52, StartError::Width { rbx: 48, vp_info: 52 }),
            (
                Registers { gpa_width_bits: 1 << 31 | 48, ..GOOD },
                48,
                StartError::Width { rbx: 1 << 31 | 48, vp_info: 48 },
            ),
            (Registers { gpa_width_bits: 57, ..GOOD }, 57, StartError::UnknownWidth(57)),
            (
                Registers { hob_low: 0x80_9000, ..GOOD },
                48,
                StartError::Hob { rcx: 0x80_9000, r8: 0x81_0000, metadata: 0x81_0000 },
            ),
            (
                Registers { hob: 1 << 32 | 0x81_0000, ..GOOD },
                48,
                StartError::Hob { rcx: 0x81_0000, r8: 1 << 32 | 0x81_0000, metadata: 0x81_0000 },
            ),
        ];
        for (registers, vp_info, error) in rows {
            assert_eq!(registers.check(vp_info, 0x81_0000), Err(error));
        }
    }
}
