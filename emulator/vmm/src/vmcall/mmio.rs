//! #VE.RequestMMIO: which device registers in memory space a TD reaches. [TDVF 4.5]
//!
//! | guest-physical page | answer |
//! |---|---|
//! | memory | the TD's shared page, as QEMU would |
//! | in [`pci::WINDOW`](crate::pci::WINDOW) | memory of the TD's PCI functions, where they decode it |
//! | 0xFEC00000 | QEMU's IOAPIC, but no entry of it is ever unmasked |
//! | 0xFF000000 | the memory of QEMU's `pc-testdev`, where it is attached |
//! | everything else, local APIC and HPET included | reads ones, writes dropped |
//!
//! QEMU's IOAPIC interrupts the processor that the VMM and the module run on, with any
//! vector and delivery mode (INIT resets the machine). So an entry that the TD unmasks is
//! written masked, and read back as the TD wrote it.

use abi::IoWidth;

use crate::seam::Devices;

/// The IOAPIC's page. [IOAPIC 3]
pub(crate) const IOAPIC: u64 = 0xFEC0_0000;
/// The first page of the memory of QEMU's `pc-testdev`: what is written is read back.
pub(crate) const TEST_MEMORY: u64 = 0xFF00_0000;
/// Offset of the register select; one byte counts.
const SELECT: u64 = 0x00;
/// Offset of the data window.
const WINDOW: u64 = 0x10;
/// Registers: lower and upper half of each entry follow each other from here.
const FIRST_ENTRY: u8 = 0x10;
const ENTRIES: u8 = 24;
/// Mask bit of an entry's lower half.
const MASKED: u32 = 1 << 16;

/// The TD's view of the IOAPIC.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ioapic {
    select: u8,
    /// Bit *n*: the TD believes that entry *n* is not masked.
    unmasked: u32,
}

impl Ioapic {
    /// Reads the register at `offset` of the page.
    pub fn read(&mut self, devices: &mut dyn Devices, offset: u64, width: IoWidth) -> u32 {
        if !is_register(offset, width) {
            return u32::MAX;
        }
        let value = devices.register_read(IOAPIC + offset, width);
        match self.entry() {
            Some(entry) if offset == WINDOW && self.unmasked >> entry & 1 == 1 => value & !MASKED,
            _ => value,
        }
    }

    /// Writes the register at `offset` of the page.
    pub fn write(&mut self, devices: &mut dyn Devices, offset: u64, width: IoWidth, value: u32) {
        let mut value = value;
        match offset {
            _ if !is_register(offset, width) => return,
            SELECT => self.select = value as u8,
            _ => {
                if let Some(entry) = self.entry() {
                    self.unmasked &= !(1 << entry);
                    self.unmasked |= u32::from(value & MASKED == 0) << entry;
                    value |= MASKED;
                }
            }
        }
        devices.register_write(IOAPIC + offset, width, value);
    }

    /// The entry whose lower half is selected.
    fn entry(self) -> Option<u8> {
        let register = self.select.checked_sub(FIRST_ENTRY)?;
        (register % 2 == 0 && register / 2 < ENTRIES).then_some(register / 2)
    }
}

/// The select register takes any width, the window 32 bits alone, as QEMU has it.
fn is_register(offset: u64, width: IoWidth) -> bool {
    offset == SELECT || offset == WINDOW && width == IoWidth::Dword
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// QEMU's IOAPIC, as far as this file uses it.
    struct Device {
        select: u8,
        registers: [u32; 256],
    }

    impl Devices for Device {
        fn port_read(&mut self, _: u16, _: IoWidth) -> u32 {
            panic!("no port is meant")
        }
        fn port_write(&mut self, _: u16, _: IoWidth, _: u32) {
            panic!("no port is meant")
        }
        fn register_read(&mut self, address: u64, _: IoWidth) -> u32 {
            match address - IOAPIC {
                SELECT => self.select.into(),
                _ => self.registers[usize::from(self.select)],
            }
        }
        fn register_write(&mut self, address: u64, _: IoWidth, value: u32) {
            match address - IOAPIC {
                SELECT => self.select = value as u8,
                _ => self.registers[usize::from(self.select)] = value,
            }
        }
    }

    fn device() -> Device {
        Device { select: 0, registers: [MASKED; 256] }
    }

    #[test]
    fn an_entry_is_read_back_as_written() {
        let (mut ioapic, mut device) = (Ioapic::default(), device());
        for value in [MASKED | 0xEE, 0xEE, 0x5EE] {
            ioapic.write(&mut device, SELECT, IoWidth::Byte, 0x3E);
            ioapic.write(&mut device, WINDOW, IoWidth::Dword, value);
            assert_eq!(ioapic.read(&mut device, WINDOW, IoWidth::Dword), value);
            assert_ne!(device.registers[0x3E] & MASKED, 0);
        }
        ioapic.write(&mut device, SELECT, IoWidth::Dword, 0x3C);
        assert_eq!(ioapic.read(&mut device, WINDOW, IoWidth::Dword), MASKED);
    }

    #[test]
    fn the_rest_of_the_page_is_empty() {
        let (mut ioapic, mut device) = (Ioapic::default(), device());
        ioapic.write(&mut device, 0x40, IoWidth::Dword, 0);
        ioapic.write(&mut device, WINDOW, IoWidth::Byte, 0);
        assert_eq!(ioapic.read(&mut device, 0x20, IoWidth::Dword), u32::MAX);
        assert_eq!(device.registers, [MASKED; 256]);
    }

    proptest! {
        #[test]
        fn no_sequence_unmasks_an_entry(
            writes in prop::collection::vec((any::<bool>(), any::<u32>()), 0..40)
        ) {
            let (mut ioapic, mut device) = (Ioapic::default(), device());
            for (select, value) in writes {
                let offset = if select { SELECT } else { WINDOW };
                let value = if select { value % 0x48 } else { value };
                ioapic.write(&mut device, offset, IoWidth::Dword, value);
            }
            for entry in 0..usize::from(ENTRIES) {
                prop_assert_ne!(device.registers[0x10 + 2 * entry] & MASKED, 0);
            }
        }
    }
}
