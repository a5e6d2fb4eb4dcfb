//! Addresses: guest-physical (private or shared) and host-physical.
//!
//! A private and a shared address are different types, so that a shared page can
//! not be accepted and a private one can not be handed to a device. The shared
//! bit is or-ed in by [`SharedGpa::try_new`] alone. [ABI-G 10]

use core::fmt;

/// Bytes of the smallest page.
pub const PAGE_SIZE: u64 = 4096;

/// First address bit that no GPA and no HPA may have.
const ADDRESS_BITS: u32 = 52;

/// Width of guest-physical addresses, shared bit included. [ABI-G 10]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GpaWidth {
    /// 48 bits, shared bit 47.
    Bits48,
    /// 52 bits, shared bit 51.
    Bits52,
}

impl GpaWidth {
    /// From the number of bits that TDG.VP.INFO and the initial RBX give.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Option<Self> {
        match bits {
            48 => Some(Self::Bits48),
            52 => Some(Self::Bits52),
            _ => None,
        }
    }

    /// Number of bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Bits48 => 48,
            Self::Bits52 => 52,
        }
    }

    /// The SHARED bit as a mask.
    #[must_use]
    pub const fn shared_mask(self) -> u64 {
        1 << (self.bits() - 1)
    }
}

/// Size of a page, with the number that GPA operands carry in bits 2:0. [ABI-G 11]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum PageLevel {
    /// Level 0.
    Size4K = 0,
    /// Level 1.
    Size2M = 1,
    /// Level 2.
    Size1G = 2,
}

impl PageLevel {
    /// Bytes of a page of this level.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        PAGE_SIZE << (9 * self as u32)
    }
}

/// Why a number is not an address of the wanted kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// The address has a bit above the width of addresses.
    TooWide(u64),
    /// The SHARED bit is set where a private address is wanted, or the reverse.
    WrongHalf(u64),
    /// The address is not a multiple of the page size.
    Unaligned(u64),
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooWide(a) => write!(f, "address {a:#x} has bits above the address width"),
            Self::WrongHalf(a) => write!(f, "address {a:#x} lies in the wrong half (SHARED bit)"),
            Self::Unaligned(a) => write!(f, "address {a:#x} is not page aligned"),
        }
    }
}

impl core::error::Error for AddressError {}

/// A GPA of either half, as it comes from VE_INFO: the SHARED bit tells which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gpa {
    /// SHARED bit clear.
    Private(PrivateGpa),
    /// SHARED bit set.
    Shared(SharedGpa),
}

impl Gpa {
    /// Sorts `raw` into its half.
    ///
    /// # Errors
    /// A bit above the width is set.
    pub const fn try_new(raw: u64, width: GpaWidth) -> Result<Self, AddressError> {
        if raw >> width.bits() != 0 {
            return Err(AddressError::TooWide(raw));
        }
        if raw & width.shared_mask() == 0 {
            Ok(Self::Private(PrivateGpa(raw)))
        } else {
            Ok(Self::Shared(SharedGpa(raw)))
        }
    }

    /// The address, with the SHARED bit if it is a shared one.
    #[must_use]
    pub const fn bits(self) -> u64 {
        match self {
            Self::Private(gpa) => gpa.bits(),
            Self::Shared(gpa) => gpa.bits(),
        }
    }
}

impl From<PrivateGpa> for Gpa {
    fn from(gpa: PrivateGpa) -> Self {
        Self::Private(gpa)
    }
}

impl From<SharedGpa> for Gpa {
    fn from(gpa: SharedGpa) -> Self {
        Self::Shared(gpa)
    }
}

/// A guest-physical address in the private half: SHARED bit clear.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PrivateGpa(u64);

impl PrivateGpa {
    /// An address known to lie below bit 47, which is private in both widths.
    ///
    /// # Panics
    /// At compile time when used in a constant, if the address is wider.
    #[must_use]
    pub const fn new(address: u64) -> Self {
        assert!(address >> 47 == 0, "not below the lower shared bit");
        Self(address)
    }

    /// An address from outside.
    ///
    /// # Errors
    /// The address has the SHARED bit or a bit above it.
    pub const fn try_new(address: u64, width: GpaWidth) -> Result<Self, AddressError> {
        match Gpa::try_new(address, width) {
            Ok(Gpa::Private(gpa)) => Ok(gpa),
            Ok(Gpa::Shared(_)) => Err(AddressError::WrongHalf(address)),
            Err(error) => Err(error),
        }
    }

    /// The address.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The first address of the range that a SEPT entry of `level` covers and the address
    /// lies in. Levels count from 0 for 4 KiB; there are five. [ABI-H 3.2]
    #[must_use]
    pub const fn start_of_range(self, level: u8) -> Self {
        let level = if level > 4 { 4 } else { level };
        Self(self.0 & !((PAGE_SIZE << (9 * level)) - 1))
    }

    /// Whether the address is a multiple of the page size of `level`.
    #[must_use]
    pub const fn is_aligned(self, level: PageLevel) -> bool {
        self.0.is_multiple_of(level.bytes())
    }
}

impl fmt::Debug for PrivateGpa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "private {:#x}", self.0)
    }
}

/// A guest-physical address in the shared half. Its SHARED bit is its highest set bit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SharedGpa(u64);

impl SharedGpa {
    /// The shared alias of `address`, which comes without the SHARED bit.
    ///
    /// # Errors
    /// The address has the SHARED bit or a bit above it.
    pub const fn try_new(address: u64, width: GpaWidth) -> Result<Self, AddressError> {
        match PrivateGpa::try_new(address, width) {
            Ok(gpa) => Ok(Self(gpa.0 | width.shared_mask())),
            Err(error) => Err(error),
        }
    }

    /// The address with the SHARED bit: what page tables and VMCALLs carry.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The address without the SHARED bit: what a device sees.
    #[must_use]
    pub const fn address(self) -> u64 {
        match self.0.checked_ilog2() {
            Some(shared_bit) => self.0 & !(1 << shared_bit),
            None => 0,
        }
    }
}

impl fmt::Debug for SharedGpa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shared {:#x}", self.address())
    }
}

/// A host-physical address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hpa(u64);

impl Hpa {
    /// An address below 2^52.
    ///
    /// # Panics
    /// At compile time when used in a constant, if the address is wider.
    #[must_use]
    pub const fn new(address: u64) -> Self {
        assert!(address >> ADDRESS_BITS == 0, "not a host-physical address");
        Self(address)
    }

    /// An address from outside.
    ///
    /// # Errors
    /// The address is 2^52 or above.
    pub const fn try_new(address: u64) -> Result<Self, AddressError> {
        if address >> ADDRESS_BITS == 0 {
            Ok(Self(address))
        } else {
            Err(AddressError::TooWide(address))
        }
    }

    /// The address.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether the address is a multiple of `alignment`, a power of two.
    #[must_use]
    pub const fn is_aligned_to(self, alignment: u64) -> bool {
        self.0 & alignment.wrapping_sub(1) == 0
    }
}

impl fmt::Debug for Hpa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hpa {:#x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shared_bit_is_the_top_bit_of_the_width() {
        assert_eq!(GpaWidth::Bits48.shared_mask(), 1 << 47);
        assert_eq!(GpaWidth::Bits52.shared_mask(), 1 << 51);
        assert_eq!(GpaWidth::from_bits(49), None);
    }

    #[test]
    fn a_raw_gpa_is_sorted_into_its_half() {
        let width = GpaWidth::Bits48;
        assert_eq!(Gpa::try_new(0x1000, width), Ok(Gpa::Private(PrivateGpa::new(0x1000))));
        let Ok(Gpa::Shared(shared)) = Gpa::try_new(1 << 47 | 0xFEC0_0000, width) else {
            panic!("the shared half is not recognised")
        };
        assert_eq!(shared.address(), 0xFEC0_0000);
        assert_eq!(shared.bits(), 1 << 47 | 0xFEC0_0000);
        assert_eq!(Gpa::try_new(1 << 48, width), Err(AddressError::TooWide(1 << 48)));
    }

    #[test]
    fn a_shared_address_gives_its_parts_back_in_both_widths() {
        for width in [GpaWidth::Bits48, GpaWidth::Bits52] {
            for address in [0, 0x1234, width.shared_mask() - 1] {
                let gpa = SharedGpa::try_new(address, width).unwrap();
                assert_eq!((gpa.address(), gpa.bits()), (address, address | width.shared_mask()));
                assert_eq!(Gpa::try_new(gpa.bits(), width), Ok(Gpa::Shared(gpa)));
                assert_eq!(Gpa::from(gpa).bits(), gpa.bits());
            }
        }
    }

    #[test]
    fn a_shared_address_is_not_a_private_one() {
        let raw = 1 << 51 | 0x1000;
        let width = GpaWidth::Bits52;
        assert_eq!(PrivateGpa::try_new(raw, width), Err(AddressError::WrongHalf(raw)));
        assert_eq!(SharedGpa::try_new(raw, width), Err(AddressError::WrongHalf(raw)));
    }

    #[test]
    fn a_range_starts_where_its_entry_does() {
        let gpa = PrivateGpa::new(0xFFFF_F000);
        let starts = [0xFFFF_F000, 0xFFE0_0000, 0xC000_0000, 0, 0, 0];
        for (level, start) in (0..).zip(starts) {
            assert_eq!(gpa.start_of_range(level).bits(), start);
        }
    }

    #[test]
    fn levels_multiply_by_512() {
        assert_eq!(PageLevel::Size4K.bytes(), 0x1000);
        assert_eq!(PageLevel::Size2M.bytes(), 0x20_0000);
        assert_eq!(PageLevel::Size1G.bytes(), 0x4000_0000);
    }
}
