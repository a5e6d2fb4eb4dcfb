//! Configuration space of bus 0 by ports 0xCF8 and 0xCFC. [PCI 3.2.2.3.2]

use abi::IoWidth;

use crate::seam::Devices;

/// CONFIG_ADDRESS.
pub(crate) const ADDRESS: u16 = 0xCF8;
/// CONFIG_DATA.
pub(crate) const DATA: u16 = 0xCFC;
/// CONFIG_ADDRESS selects a function.
pub(crate) const ENABLE: u32 = 1 << 31;

/// Vendor and device.
pub(super) const ID: u8 = 0x00;
/// COMMAND in the lower half, STATUS in the upper one.
pub(super) const COMMAND: u8 = 0x04;
/// Header type in bits 23:16, of which bit 7 says that there are more functions.
pub(super) const HEADER: u8 = 0x0C;

/// Device and function on bus 0: what CONFIG_ADDRESS has in bits 15:8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(u8);

impl Address {
    /// Device in bits 7:3, function in bits 2:0.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        Self(number)
    }

    /// Function of the device.
    pub(super) const fn function(self) -> u8 {
        self.0 & 7
    }

    /// Both in one number, as an IOMMU has them.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The function that a value of CONFIG_ADDRESS selects, and the register. None if it is
    /// none, or on another bus.
    pub(super) const fn selected(config_address: u32) -> Option<(Self, u8)> {
        const BUS: u32 = 0xFF << 16;
        const RESERVED: u32 = 0x7F << 24;
        if config_address & ENABLE == 0 || config_address & (BUS | RESERVED) != 0 {
            return None;
        }
        Some((Self((config_address >> 8) as u8), config_address as u8 & !3))
    }

    fn select(self, register: u8) -> u32 {
        ENABLE | u32::from(self.0) << 8 | u32::from(register & !3)
    }
}

impl core::fmt::Display for Address {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "00:{:02x}.{}", self.0 >> 3, self.function())
    }
}

/// Reads a register; ones if nothing is there.
pub(super) fn read(devices: &mut dyn Devices, at: Address, register: u8) -> u32 {
    devices.port_write(ADDRESS, IoWidth::Dword, at.select(register));
    devices.port_read(DATA, IoWidth::Dword)
}

/// Writes a register.
pub(super) fn write(devices: &mut dyn Devices, at: Address, register: u8, value: u32) {
    devices.port_write(ADDRESS, IoWidth::Dword, at.select(register));
    devices.port_write(DATA, IoWidth::Dword, value);
}

/// Writes COMMAND alone: bits of STATUS are cleared by writing ones.
pub(super) fn write_command(devices: &mut dyn Devices, at: Address, value: u16) {
    devices.port_write(ADDRESS, IoWidth::Dword, at.select(COMMAND));
    devices.port_write(DATA, IoWidth::Word, value.into());
}
