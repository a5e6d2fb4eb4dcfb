//! #VE.RequestMMIO: device memory. [TDVF 4.4]
#![expect(unsafe_code, reason = "TDCALL")]

use abi::SharedGpa;
use abi::ghci::function;

use super::{VmcallError, mask, refused, succeeded};

const READ: u64 = 0;
const WRITE: u64 = 1;

/// Bytes of an MMIO access.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MmioWidth {
    /// One byte.
    Byte = 1,
    /// Two bytes.
    Word = 2,
    /// Four bytes.
    Dword = 4,
    /// Eight bytes.
    Qword = 8,
}

impl MmioWidth {
    /// From a number of bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Option<Self> {
        match bytes {
            1 => Some(Self::Byte),
            2 => Some(Self::Word),
            4 => Some(Self::Dword),
            8 => Some(Self::Qword),
            _ => None,
        }
    }

    /// The bits of a register that an access of this width covers.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "the index is cut to the table's length")]
    pub const fn mask(self) -> u64 {
        const MASKS: &[u64; 16] =
            &[0, 0xFF, 0xFFFF, 0, 0xFFFF_FFFF, 0, 0, 0, u64::MAX, 0, 0, 0, 0, 0, 0, 0];
        MASKS[self as usize & 15]
    }
}

/// #VE.RequestMMIO, read: the value, zero above its width. [TDVF 4.4]
///
/// In R12 bytes, R13 = 0, R14 address with its SHARED bit; out R11 value.
///
/// ```no_run
/// use abi::{GpaWidth, SharedGpa};
/// use tdcall::ghci::{MmioWidth, mmio_read};
/// # fn main() -> Result<(), abi::AddressError> {
/// let device = SharedGpa::try_new(0xFEE0_0000, GpaWidth::Bits48)?;
/// let _ = mmio_read(device, MmioWidth::Dword);
/// # Ok(())
/// # }
/// ```
///
/// ```compile_fail,E0308
/// use abi::PrivateGpa;
/// use tdcall::ghci::{MmioWidth, mmio_read};
/// // A device is never in private memory.
/// let _ = mmio_read(PrivateGpa::new(0xFEE0_0000), MmioWidth::Dword);
/// ```
///
/// # Errors
/// See [`VmcallError`].
#[inline]
pub fn mmio_read(gpa: SharedGpa, width: MmioWidth) -> Result<u64, VmcallError> {
    let value: u64;
    // SAFETY: the VMM can not reach private memory; every exposed register is an output or
    // is lent.
    let answer = unsafe {
        vmcall!(mask mask::MMIO_READ,
                lend ["r12" by "rdx" = width as u64, "r13" by "r8" = READ,
                      "r14" by "rsi" = gpa.bits()],
                after ["and r11, r9"],
                inlateout("r11") function::MMIO => value, in("r9") width.mask(),)
    };
    if succeeded(answer) { Ok(value) } else { refused(answer) }
}

/// #VE.RequestMMIO, write: the low bytes of `value`; the VMM does not see the others.
/// [TDVF 4.4]
///
/// In R12 bytes, R13 = 1, R14 address with its SHARED bit, R15 value.
///
/// # Errors
/// See [`VmcallError`].
#[inline]
pub fn mmio_write(gpa: SharedGpa, width: MmioWidth, value: u64) -> Result<(), VmcallError> {
    // SAFETY: the VMM can not reach private memory; every exposed register is an output or
    // is lent.
    let answer = unsafe {
        vmcall!(mask mask::MMIO_WRITE,
                lend ["r12" by "rsi" = width as u64, "r13" by "r8" = WRITE,
                      "r14" by "rdi" = gpa.bits(), "r15" by "rdx" = value & width.mask()],
                after ["xor r11d, r11d"],
                inlateout("r11") function::MMIO => _,)
    };
    if succeeded(answer) { Ok(()) } else { refused(answer) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_have_masks() {
        for (bytes, mask) in [(1, 0xFF), (2, 0xFFFF), (4, 0xFFFF_FFFF), (8, u64::MAX)] {
            assert_eq!(MmioWidth::from_bytes(bytes).map(MmioWidth::mask), Some(mask));
        }
        assert_eq!(MmioWidth::from_bytes(3), None);
    }
}
