//! The permission maps of ports and MSRs. [APM2 15.10, 15.11]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One bit a port, and three more for an access that crosses the last one: 1 = exit.
#[repr(C, align(4096))]
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(super) struct PortMap(pub [u8; 3 * 4096]);

/// Two bits an MSR, read then write, in three ranges of 8192: 1 = exit. MSRs outside
/// the ranges always exit.
#[repr(C, align(4096))]
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(super) struct MsrMap(pub [u8; 2 * 4096]);

impl MsrMap {
    /// Makes reads and writes of `msr` exit.
    pub(super) fn intercept(&mut self, msr: u32) {
        self.set(msr, 3, true);
    }

    /// Makes reads of `msr` native.
    pub(super) fn allow_reads(&mut self, msr: u32) {
        self.set(msr, 1, false);
    }

    fn set(&mut self, msr: u32, accesses: u8, exits: bool) {
        let range = match msr {
            0..=0x1FFF => 0,
            0xC000_0000..=0xC000_1FFF => 1,
            0xC001_0000..=0xC001_1FFF => 2,
            _ => return,
        };
        let bit = range * 0x4000 + (msr as usize & 0x1FFF) * 2;
        let mask = accesses << (bit % 8);
        if exits {
            self.0[bit / 8] |= mask;
        } else {
            self.0[bit / 8] &= !mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    #[test]
    fn each_range_has_its_place() {
        let mut map = MsrMap::new_zeroed();
        for (msr, byte, bits) in [
            (0, 0, 0b11),
            (0x1FFF, 0x7FF, 0b1100_0000),
            (0xC000_0080, 0x820, 0b11),
            (0xC001_0117, 0x1045, 0b1100_0000),
        ] {
            map.intercept(msr);
            assert_eq!(map.0[byte], bits, "{msr:#x}");
            map.allow_reads(msr);
            assert_eq!(map.0[byte], bits & 0b1010_1010);
            map.0[byte] = 0;
        }
        map.intercept(0x4000_0000);
        assert!(map.0.iter().all(|byte| *byte == 0));
    }
}
