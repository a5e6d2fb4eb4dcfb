//! A bus whose memory is an array.

use tdcall::ghci::MmioWidth;

use super::super::{Access, Bus, Segment};
use crate::ve::decode::tests::oracle::Site;

/// Memory from a linear address on. It refuses what the contract of [`Bus`] does not allow.
pub(super) struct Arena<'a> {
    pub(super) bytes: &'a mut [u8],
    pub(super) address: u64,
    pub(super) site: Site,
    pub(super) has_begun: bool,
}

type Answer<T> = Result<T, &'static str>;

impl Arena<'_> {
    fn operand(&mut self, place: usize, width: MmioWidth) -> Answer<&mut [u8]> {
        if self.has_begun {
            self.bytes.get_mut(place..place + width as usize).ok_or("outside the arena")
        } else {
            Err("accessed before the beginning")
        }
    }
}

impl Bus for Arena<'_> {
    type Place = usize;
    type Error = &'static str;

    fn segment_base(&self, segment: Segment) -> u64 {
        self.site.base_of(segment)
    }

    fn place(&mut self, address: u64, width: MmioWidth, _access: Access) -> Answer<usize> {
        let place = address.wrapping_sub(self.address) as usize;
        if self.has_begun {
            Err("an operand after the beginning")
        } else if place > self.bytes.len() - width as usize {
            Err("outside the arena")
        } else {
            Ok(place)
        }
    }

    fn begin(&mut self) -> Answer<()> {
        self.has_begun = true;
        Ok(())
    }

    /// Bits above the width are all set, to be ignored.
    fn read(&mut self, place: &usize, width: MmioWidth) -> Answer<u64> {
        let mut bytes = [0xFF; 8];
        bytes[..width as usize].copy_from_slice(self.operand(*place, width)?);
        Ok(u64::from_le_bytes(bytes))
    }

    fn write(&mut self, place: &usize, width: MmioWidth, value: u64) -> Answer<()> {
        if value & !width.mask() != 0 {
            return Err("more than the operand is shown to the bus");
        }
        let bytes = value.to_le_bytes();
        self.operand(*place, width)?.copy_from_slice(&bytes[..width as usize]);
        Ok(())
    }
}
