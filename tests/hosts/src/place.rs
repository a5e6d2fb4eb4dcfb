//! The memory of a program, and the names that tables have for it.
//!
//! ```text
//! pool  shared buffers  2 MiB   the program's own: operands in memory
//!       PAMTs          10 MiB   of both TDMRs
//!       pages           4 MiB   for TDs, 4 KiB each
//!       large pages     8 MiB   for TDs, 2 MiB each
//! ```
//!
//! TDMR 0 is the first GiB, and all of it but the pages is reserved. TDMR 1 is the second
//! GiB, all of it reserved: no RAM need be there.

use abi::PAGE_SIZE;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

const SHARED: u64 = 0;
const PAMTS: u64 = 2 * MIB;
const PAGES: u64 = 12 * MIB;
const LARGE: u64 = 16 * MIB;
const END: u64 = 24 * MIB;

/// PAMT bytes of a GiB. [ABI-H 3.5]
pub const PAMT_4K_BYTES: u64 = 4 * MIB;
/// As above, of its 2 MiB pages.
pub const PAMT_2M_BYTES: u64 = 2 * PAGE_SIZE;
/// As above, of the GiB itself.
pub const PAMT_1G_BYTES: u64 = PAGE_SIZE;

/// What a table calls a number that only the running program knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// TDR page of the TD.
    Tdr,
    /// TDCS pages of the TD, 0-8.
    Tdcx(u8),
    /// TDVPR page of a vCPU.
    Tdvpr(u8),
    /// Other TDVPS pages of a vCPU: vCPU, page 0-14.
    Tdvpx(u8, u8),
    /// SEPT pages.
    Sept(u8),
    /// Pages for the TD's memory, and for everything else.
    Page(u16),
    /// 2 MiB pages for the TD's memory, 0-3.
    Large(u8),
    /// A 4 KiB page in a reserved area of TDMR 0.
    Reserved,
    /// A 4 KiB page of TDMR 1.
    Second,
    /// A page behind all TDMRs.
    Outside,
    /// A page of the module's own memory.
    Seamrr,
    /// A page of the shared buffers.
    Buffer(Buffer),
    /// A private HKID, counted from the first.
    Hkid(u16),
    /// The last HKID that is not private.
    SharedHkid,
}

/// The shared buffers, a page each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffer {
    /// TDSYSINFO_STRUCT.
    SysInfo,
    /// The CMR table.
    Cmrs,
    /// The list of SYS.RDALL.
    List,
    /// Addresses of the TDMR_INFOs.
    TdmrArray,
    /// The TDMR_INFOs.
    Tdmrs,
    /// TD_PARAMS.
    Params,
    /// What PAGE.ADD copies.
    Source,
    /// The posted-interrupt descriptor.
    Posted,
    /// The root of the shared EPT, and the tables below it.
    SharedEpt(u8),
    /// Shared memory of the TD.
    Shared,
    /// Nobody writes it; for operands that are not used.
    Spare,
}

impl Buffer {
    const fn index(self) -> u64 {
        match self {
            Self::SysInfo => 0,
            Self::Cmrs => 1,
            Self::List => 2,
            Self::TdmrArray => 3,
            Self::Tdmrs => 4,
            Self::Params => 5,
            Self::Source => 6,
            Self::Posted => 7,
            Self::Shared => 8,
            Self::Spare => 9,
            Self::SharedEpt(level) => 10 + level as u64,
        }
    }
}

/// The memory.
///
/// No Rust object lies in it, and nobody else uses it.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    start: u64,
    /// Lowest bit of the HKID in a host-physical address.
    hkid_shift: u32,
    first_private: u16,
}

impl Pool {
    /// The pool in RAM `[start, end)`, on a platform with these keys: MSR 0x87,
    /// IA32_MKTME_KEYID_PARTITIONING. `None`: the RAM is too small.
    #[must_use]
    pub fn new((start, end): (u64, u64), keyid_partitioning: u64) -> Option<Self> {
        let start = start.next_multiple_of(2 * MIB);
        let (shared, private) = (keyid_partitioning & 0xFFFF_FFFF, keyid_partitioning >> 32);
        let hkid_bits = 64 - (shared + private).leading_zeros();
        let first_private = u16::try_from(shared + 1).ok()?;
        (start + END <= end.min(GIB)).then_some(Self {
            start,
            hkid_shift: 52 - hkid_bits,
            first_private,
        })
    }

    /// The number that stands for `place`.
    #[must_use]
    pub fn resolve(&self, place: Place) -> u64 {
        let page = |index: u64| self.start + PAGES + index * PAGE_SIZE;
        match place {
            Place::Tdr => page(0),
            Place::Tdcx(index) => page(1 + u64::from(index)),
            Place::Tdvpr(vcpu) => page(16 + 16 * u64::from(vcpu)),
            Place::Tdvpx(vcpu, index) => page(17 + 16 * u64::from(vcpu) + u64::from(index)),
            Place::Sept(index) => page(128 + u64::from(index)),
            Place::Page(index) => page(256 + u64::from(index)),
            Place::Large(index) => self.start + LARGE + u64::from(index) * 2 * MIB,
            Place::Reserved => self.start + PAMTS - PAGE_SIZE,
            Place::Second => GIB + 2 * MIB,
            Place::Outside => 2 * GIB,
            Place::Seamrr => 0x10_0000,
            Place::Buffer(buffer) => self.start + SHARED + buffer.index() * PAGE_SIZE,
            Place::Hkid(index) => u64::from(self.first_private + index),
            Place::SharedHkid => u64::from(self.first_private) - 1,
        }
    }

    /// `page` under private key `index`.
    #[must_use]
    pub fn keyed(&self, page: Place, index: u16) -> u64 {
        self.resolve(page) | self.resolve(Place::Hkid(index)) << self.hkid_shift
    }

    /// Bases of the 4 KiB, 2 MiB and 1 GiB PAMTs of a TDMR.
    #[must_use]
    pub fn pamts(&self, tdmr: u64) -> [u64; 3] {
        let base = self.start + PAMTS + tdmr * 5 * MIB;
        [base, base + PAMT_4K_BYTES, base + PAMT_4K_BYTES + PAMT_2M_BYTES]
    }

    /// The bytes that TDs can have: `[start, end)`.
    #[must_use]
    pub fn convertible(&self) -> (u64, u64) {
        (self.start + PAGES, self.start + END)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: u64 = 31 | 32 << 32;

    #[test]
    fn the_pool_lies_in_the_ram_and_below_the_second_tdmr() {
        let pool = Pool::new((0x300_0000, 0x8C0_0000), KEYS).unwrap();
        assert_eq!(pool.convertible(), (0x3C0_0000, 0x480_0000));
        assert!(pool.pamts(1)[2] + PAMT_1G_BYTES <= pool.convertible().0);
        assert!(Pool::new((0x300_0000, 0x300_0000 + END - 1), KEYS).is_none());
        assert!(Pool::new((GIB - MIB, 2 * GIB), KEYS).is_none());
    }

    #[test]
    fn no_two_places_share_a_page() {
        let pool = Pool::new((0x300_0000, 0x8C0_0000), KEYS).unwrap();
        let mut places = vec![Place::Tdr, Place::Reserved, Place::Second, Place::Outside];
        places.extend((0..9).map(Place::Tdcx));
        places.extend((0..4).map(Place::Tdvpr));
        places.extend((0..4).flat_map(|vcpu| (0..15).map(move |page| Place::Tdvpx(vcpu, page))));
        places.extend((0..64).map(Place::Sept));
        places.extend((0..768).map(Place::Page));
        places.extend((0..4).map(Place::Large));
        let mut pages: Vec<u64> = places.iter().map(|place| pool.resolve(*place)).collect();
        pages.sort_unstable();
        assert!(pages.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(pool.resolve(Place::Page(767)) < pool.resolve(Place::Large(0)));
    }

    #[test]
    fn keys_stand_in_the_top_bits_of_an_address() {
        let pool = Pool::new((0x300_0000, 0x8C0_0000), KEYS).unwrap();
        assert_eq!(pool.keyed(Place::Tdr, 1), 0x3C0_0000 | 33 << 46);
    }
}
