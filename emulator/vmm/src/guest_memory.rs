//! Which guest-physical addresses are memory: q35's RAM, and the image below 4 GiB.
//! [TDVF 1.1, 2.1]

use abi::{PageLevel, PrivateGpa};
use image::layout::IMAGE_END;
use image::ram::Q35Ram;
use image::{RamRange, q35_ram};

use crate::ram::Range;

/// The TD's memory. Everything else is devices, or nothing.
#[derive(Clone, Copy, Debug)]
pub struct GuestMemory {
    ram: Q35Ram,
    listed: Q35Ram,
    image: RamRange,
}

impl GuestMemory {
    /// `ram_bytes` of RAM and an image of `image_bytes`.
    #[must_use]
    pub fn new(ram_bytes: u64, image_bytes: u64) -> Self {
        let start = IMAGE_END.saturating_sub(image_bytes);
        let ram = q35_ram(ram_bytes);
        Self { ram, listed: ram, image: RamRange { start, len: image_bytes } }
    }

    /// The same memory with only the first `ram_bytes` of RAM in the TD HOB.
    #[must_use]
    pub fn listing(self, ram_bytes: u64) -> Self {
        Self { listed: q35_ram(ram_bytes), ..self }
    }

    /// The RAM that the TD HOB lists.
    #[must_use]
    pub fn listed(&self) -> &[RamRange] {
        self.listed.ranges()
    }

    /// Whether the page of `address` (without SHARED bit) is memory.
    #[must_use]
    pub fn contains(&self, address: u64) -> bool {
        self.range_of(RamRange { start: address & !0xFFF, len: 0x1000 })
    }

    /// The first memory that is not below `address`: what is left of its range from there.
    #[must_use]
    pub fn memory_from(&self, address: u64) -> Option<Range> {
        let ranges = self.ram.ranges().iter().chain([&self.image]);
        let ranges = ranges.map(|range| Range::new(range.start, range.start + range.len));
        let behind = ranges.filter(|range| address < range.end);
        let first = behind.min_by_key(|range| range.start)?;
        Some(Range::new(first.start.max(address), first.end))
    }

    /// The largest page, at most `wanted`, that can be put around `gpa`: it must lie in
    /// one range of memory.
    #[must_use]
    pub fn page_around(&self, gpa: PrivateGpa, wanted: PageLevel) -> (PrivateGpa, PageLevel) {
        let aligned = |level: PageLevel| gpa.bits() & !(level.bytes() - 1);
        if wanted >= PageLevel::Size2M {
            let start = aligned(PageLevel::Size2M);
            if self.range_of(RamRange { start, len: PageLevel::Size2M.bytes() }) {
                return (below(gpa, start), PageLevel::Size2M);
            }
        }
        (below(gpa, aligned(PageLevel::Size4K)), PageLevel::Size4K)
    }

    fn range_of(&self, range: RamRange) -> bool {
        self.image.contains(range) || self.ram.ranges().iter().any(|ram| ram.contains(range))
    }
}

/// `address`, which is `gpa` with low bits cleared: private because `gpa` is.
fn below(gpa: PrivateGpa, address: u64) -> PrivateGpa {
    PrivateGpa::try_new(address, abi::GpaWidth::Bits52).unwrap_or(gpa)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_ram_and_the_image() {
        let memory = GuestMemory::new(64 << 20, 0x1_0000);
        for (address, is_memory) in [
            (0, true),
            (0x3FF_FFFF, true),
            (0x400_0000, false),
            (0xFEC0_0000, false),
            (0xFFFE_FFFF, false),
            (0xFFFF_0000, true),
            (0xFFFF_FFF0, true),
            (0x1_0000_0000, false),
            (u64::MAX, false),
        ] {
            assert_eq!(memory.contains(address), is_memory, "{address:#x}");
        }
    }

    #[test]
    fn ram_that_is_not_listed_is_memory_all_the_same() {
        let memory = GuestMemory::new(64 << 20, 0x1_0000).listing(48 << 20);
        assert_eq!(memory.listed(), [RamRange { start: 0, len: 48 << 20 }]);
        assert!(memory.contains(63 << 20));
    }

    #[test]
    fn memory_is_found_from_anywhere() {
        let memory = GuestMemory::new(3 << 30, 0x1_0000);
        let image = Range::new(0xFFFF_0000, 1 << 32);
        for (address, found) in [
            (0, Some(Range::new(0, 0x8000_0000))),
            (0x7FFF_F000, Some(Range::new(0x7FFF_F000, 0x8000_0000))),
            (0x8000_0000, Some(image)),
            (0xFFFF_8000, Some(Range::new(0xFFFF_8000, 1 << 32))),
            (1 << 32, Some(Range::new(1 << 32, 5 << 30))),
            (5 << 30, None),
            (u64::MAX, None),
        ] {
            assert_eq!(memory.memory_from(address), found, "{address:#x}");
        }
    }

    #[test]
    fn a_large_page_must_fit() {
        let memory = GuestMemory::new(5 << 20, 0x20_0000);
        let page = |address, level| {
            let (gpa, level) = memory.page_around(PrivateGpa::new(address), level);
            (gpa.bits(), level)
        };
        assert_eq!(page(0x21_2345, PageLevel::Size4K), (0x21_2000, PageLevel::Size4K));
        assert_eq!(page(0x21_2345, PageLevel::Size2M), (0x20_0000, PageLevel::Size2M));
        assert_eq!(page(0x41_2345, PageLevel::Size2M), (0x41_2000, PageLevel::Size4K));
        assert_eq!(page(0xFFFF_F000, PageLevel::Size2M), (0xFFE0_0000, PageLevel::Size2M));
    }
}
