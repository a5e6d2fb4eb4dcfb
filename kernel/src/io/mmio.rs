//! Registers of devices in memory. [TDVF 4.4]

use core::marker::PhantomData;

use abi::{Gpa, PAGE_SIZE, SharedGpa};
use tdcall::ghci::VmcallError;

use super::Register;
use crate::memory::{Device, Map};
use crate::td::{Td, Tdcall};
use crate::ve::Memory;

/// A register of a mapped device: what a MOV to or from it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mmio<T> {
    gpa: SharedGpa,
    holds: PhantomData<T>,
}

impl<T: Register> Mmio<T> {
    /// The register at `offset`. None unless the offset is in the device's page and a
    /// multiple of the register's size.
    #[must_use]
    pub fn new(device: &Device, offset: u16) -> Option<Self> {
        Self::in_page(device.gpa, offset, &Map)
    }

    fn in_page(page: SharedGpa, offset: u16, memory: &impl Memory) -> Option<Self> {
        let offset = u64::from(offset);
        if offset >= PAGE_SIZE || !offset.is_multiple_of(T::WIDTH as u64) {
            return None;
        }
        match Gpa::try_new(page.bits() | offset, memory.gpa_width()) {
            Ok(Gpa::Shared(gpa)) => Some(Self { gpa, holds: PhantomData }),
            _ => None,
        }
    }

    /// Reads the register.
    #[inline]
    pub fn read(self) -> Result<T, VmcallError> {
        self.read_by(&mut Td)
    }

    /// Writes the register.
    #[inline]
    pub fn write(self, value: T) -> Result<(), VmcallError> {
        self.write_by(&mut Td, value)
    }

    #[inline]
    fn read_by(self, td: &mut impl Tdcall) -> Result<T, VmcallError> {
        td.mmio_read(self.gpa, T::WIDTH).map(T::cut)
    }

    #[inline]
    fn write_by(self, td: &mut impl Tdcall, value: T) -> Result<(), VmcallError> {
        td.mmio_write(self.gpa, T::WIDTH, value.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ve::fakes::{Asked, DEVICE, Host, Pages};
    use abi::GpaWidth;
    use tdcall::ghci::MmioWidth;

    fn register<T: Register>(offset: u16) -> Option<Mmio<T>> {
        let page = SharedGpa::try_new(DEVICE, GpaWidth::Bits48).unwrap();
        Mmio::in_page(page, offset, &Pages::with(0, &[]))
    }

    #[test]
    fn a_register_asks_for_its_width_and_gives_no_more() {
        let mut host = Host::answering(0xF1F2_F3F4_F5F6_F7F8);
        assert_eq!(register::<u8>(1).unwrap().read_by(&mut host), Ok(0xF8));
        assert_eq!(register::<u16>(2).unwrap().read_by(&mut host), Ok(0xF7F8));
        assert_eq!(register::<u32>(4).unwrap().read_by(&mut host), Ok(0xF5F6_F7F8));
        assert_eq!(register::<u64>(8).unwrap().read_by(&mut host), Ok(0xF1F2_F3F4_F5F6_F7F8));
        register::<u32>(0xFFC).unwrap().write_by(&mut host, 7).unwrap();
        assert_eq!(host.asked[2], Asked::MmioRead(DEVICE + 4, MmioWidth::Dword));
        assert_eq!(host.asked[4], Asked::MmioWrite(DEVICE + 0xFFC, MmioWidth::Dword, 7));
    }

    #[test]
    fn a_register_stands_in_the_page_and_at_a_multiple_of_its_size() {
        assert!(register::<u8>(0xFFF).is_some() && register::<u64>(0xFF8).is_some());
        assert!(register::<u8>(0x1000).is_none() && register::<u16>(0xFFFF).is_none());
        assert!(register::<u16>(1).is_none() && register::<u64>(4).is_none());
    }
}
