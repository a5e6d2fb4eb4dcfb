//! PCI: the functions of bus 0, by ports 0xCF8 and 0xCFC. [PCI 3.2.2.3.2]
//!
//! No firmware ran before: the kernel itself gives the functions their addresses, in
//! [`WINDOW`]. What configuration space says comes from the host: it is copied once into a
//! [`Snapshot`], checked there, and never read again.

mod place;
mod snapshot;

pub use self::place::Window;
pub use self::snapshot::{Snapshot, Unusable, WORDS};

use core::fmt;
use core::ops::Range;

use tdcall::ghci::VmcallError;

use crate::io::Port;

/// Where functions get their memory: the lower part of the PCI hole of QEMU's q35, which has
/// neither RAM nor any other device there.
pub const WINDOW: Range<u64> = 0xC000_0000..0xE000_0000;

/// Registers, by offset.
pub(crate) mod register {
    /// Vendor, and device in the upper half.
    pub(crate) const ID: u8 = 0x00;
    /// COMMAND, and STATUS in the upper half.
    pub(crate) const COMMAND: u8 = 0x04;
    /// Header type in bits 23:16.
    pub(crate) const HEADER: u8 = 0x0C;
    /// The first base address register.
    pub(crate) const BAR: u8 = 0x10;
    /// Offset of the first capability.
    pub(crate) const CAPABILITIES: u8 = 0x34;
}

/// COMMAND: the function answers to its memory addresses.
pub const MEMORY: u32 = 1 << 1;
/// COMMAND: the function reads and writes memory.
pub const BUS_MASTER: u32 = 1 << 2;
/// COMMAND: the function raises no interrupt by its pin.
pub const INTX_DISABLE: u32 = 1 << 10;

/// A function on bus 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Below 32.
    pub device: u8,
    /// Below 8.
    pub function: u8,
}

impl Address {
    /// The value of CONFIG_ADDRESS that selects a register.
    fn select(self, register: u8) -> u32 {
        const ENABLE: u32 = 1 << 31;
        let Self { device, function } = self;
        ENABLE
            | u32::from(device & 31) << 11
            | u32::from(function & 7) << 8
            | u32::from(register & !3)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00:{:02x}.{}", self.device, self.function)
    }
}

/// Configuration space, four bytes at a time. Errors are the host's refusals.
pub trait Config {
    /// Reads a register; ones if nothing is there.
    fn read(&mut self, at: Address, register: u8) -> Result<u32, VmcallError>;
    /// Writes a register.
    fn write(&mut self, at: Address, register: u8, value: u32) -> Result<(), VmcallError>;
}

/// The real thing.
#[derive(Clone, Copy, Debug)]
pub struct Ports;

/// CONFIG_ADDRESS.
const ADDRESS: Port<u32> = Port::new(0xCF8);
/// CONFIG_DATA.
const DATA: Port<u32> = Port::new(0xCFC);

impl Config for Ports {
    fn read(&mut self, at: Address, register: u8) -> Result<u32, VmcallError> {
        ADDRESS.write(at.select(register))?;
        DATA.read()
    }

    fn write(&mut self, at: Address, register: u8, value: u32) -> Result<(), VmcallError> {
        ADDRESS.write(at.select(register))?;
        DATA.write(value)
    }
}

/// Calls `found` with each function of bus 0, and its vendor and device.
pub fn functions(
    config: &mut impl Config,
    mut found: impl FnMut(Address, u32),
) -> Result<(), VmcallError> {
    const MULTI_FUNCTION: u32 = 1 << 23;
    for device in 0..32 {
        let first = Address { device, function: 0 };
        let id = config.read(first, register::ID)?;
        if id == u32::MAX {
            continue;
        }
        found(first, id);
        let has_more = config.read(first, register::HEADER)? & MULTI_FUNCTION != 0;
        for function in 1..if has_more { 8 } else { 1 } {
            let at = Address { device, function };
            let id = config.read(at, register::ID)?;
            if id != u32::MAX {
                found(at, id);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod fakes;

#[cfg(test)]
mod tests {
    use super::fakes::Bus;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_function_of_bus_0_is_found() {
        let mut bus = Bus::default();
        for (device, function) in [(0, 0), (2, 0), (31, 0), (31, 3), (5, 4)] {
            bus.add(Address { device, function }, &[(0, 0x1234_5678)]);
        }
        bus.add(Address { device: 31, function: 0 }, &[(0, 0x1234_5678), (0x0C, 1 << 23)]);
        let mut found = Vec::new();
        functions(&mut bus, |at, _| found.push((at.device, at.function))).unwrap();
        // Where function 0 is missing, or says that it is alone, there is no other.
        assert_eq!(found, [(0, 0), (2, 0), (31, 0), (31, 3)]);
    }

    #[test]
    fn a_register_is_selected_by_its_number() {
        assert_eq!(Address { device: 31, function: 3 }.select(0x3F), 0x8000_FB3C);
        assert_eq!(Address { device: 2, function: 0 }.select(4), 0x8000_1004);
    }
}
