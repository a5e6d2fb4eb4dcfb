//! Instruction.IO: which of QEMU's ports a TD reaches.
//!
//! The devices are those of the machine that also runs the VMM and the module, so a
//! hostile TD must get none that writes memory, moves other devices, or belongs to them.
//!
//! | port | device | read | write |
//! |---|---|---|---|
//! | 0x70-0x71 | CMOS clock | yes | yes |
//! | 0x80, 0xED | POST code, delay | yes | yes |
//! | 0xE0-0xE3 | QEMU's `pc-testdev`, a register without effect, where it is attached | yes | yes |
//! | 0xF4-0xF7 | debug exit | ones | ends the run: the TD's verdict |
//! | 0x3F8-0x3FF | COM1 | yes | yes |
//! | 0x510, 0x511 | fw_cfg by port | yes | selector alone |
//! | 0x608-0x60B | ACPI timer | yes | dropped |
//! | 0xCF8 | PCI address | yes | kept here |
//! | 0xCFC-0xCFF | PCI data | yes | 00:00.0 scratchpad (0xDC), and what [`Pci`] allows |
//! | 0x64 = 0xFE, 0xCF9 bit 2 | reset | ones | ends the run |
//! | 0x604 bit 13 | ACPI sleep | ones | ends the run |
//! | 0x5A0-0x5AF | [`Scratch`], if the configuration has it | yes | yes |
//! | 0x5B0-0x5BF | [`Look`], if the configuration has it | yes | yes |
//! | everything else | nothing there | ones | dropped |
//!
//! "Everything else" includes fw_cfg's DMA port, PCI command registers and BARs of devices that
//! are not the TD's, the 8259s, 8254 and 8237, and the logs of VMM (0xE9) and module (0x403). The
//! fw_cfg items that hold the module and the VMM read as empty. As under KVM the port is
//! the low 16 bits of R14.

use abi::{IoWidth, verdict};

use super::{Look, Scratch};
use crate::features::Features;
use crate::pci::Pci;
use crate::pci::config::{ADDRESS as PCI_ADDRESS, DATA as PCI_DATA, ENABLE as PCI_ENABLE};
use crate::seam::Devices;

const COM1: u16 = 0x3F8;
const CMOS: u16 = 0x70;
const POST: u16 = 0x80;
const DELAY: u16 = 0xED;
/// `pc-testdev` has more ports, which do have effects.
const TEST_REGISTER: u16 = 0xE0;
const FW_CFG_SELECTOR: u16 = 0x510;
const FW_CFG_DATA: u16 = 0x511;
const ACPI_CONTROL: u16 = 0x604;
const ACPI_TIMER: u16 = 0x608;
const KEYBOARD: u16 = 0x64;
const RESET: u16 = 0xCF9;

const PULSE_RESET: u32 = 0xFE;
const RESET_CPU: u32 = 1 << 2;
const SLEEP_ENABLE: u32 = 1 << 13;
/// 00:00.0, register 0xDC: 32 bits without effect.
const PCI_SCRATCHPAD: u32 = PCI_ENABLE | 0xDC;
/// fw_cfg items of QEMU's -kernel, -initrd and -append: what runs under the TD.
const FW_CFG_HIDDEN: [u16; 12] =
    [0x07, 0x08, 0x0A, 0x0B, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18];

/// What comes of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortAnswer {
    /// The value read.
    Value(u32),
    /// The write is done, or dropped.
    Done,
    /// A command for [`Look`].
    Look(u32),
    /// The TD ends the run with this value.
    Verdict(u32),
    /// The TD asks for a reset of the machine.
    Reset,
    /// The TD switches the machine off.
    PowerOff,
}

/// State of the ports that are not simply passed on.
#[derive(Clone, Debug)]
pub struct Ports {
    pci_address: u32,
    /// The TD's PCI functions.
    pub(crate) pci: Pci,
    fw_cfg_is_hidden: bool,
    scratch: Option<Scratch>,
    has_debug_exit: bool,
    has_acpi: bool,
    look: Option<Look>,
}

impl Ports {
    /// The ports at reset.
    #[must_use]
    pub fn new(features: Features) -> Self {
        let scratch = features.contains(Features::SCRATCH_PORT).then(Scratch::new);
        Self {
            pci_address: 0,
            pci: Pci::default(),
            fw_cfg_is_hidden: false,
            scratch,
            look: features.contains(Features::LOOK).then(Look::default),
            has_debug_exit: !features.contains(Features::NO_DEBUG_EXIT),
            has_acpi: !features.contains(Features::NO_ACPI),
        }
    }

    /// The device for looks.
    pub(crate) const fn look(&mut self) -> Option<&mut Look> {
        self.look.as_mut()
    }

    /// IN.
    pub fn read(&mut self, devices: &mut dyn Devices, port: u16, width: IoWidth) -> PortAnswer {
        if let Some(value) = self.scratch.as_mut().and_then(|device| device.read(port, width)) {
            return PortAnswer::Value(value & width.mask() as u32);
        }
        if let Some(value) = self.look.as_ref().and_then(|device| device.read(port, width)) {
            return PortAnswer::Value(value);
        }
        let value = match port {
            PCI_ADDRESS if width == IoWidth::Dword => self.pci_address,
            PCI_DATA..=0xCFF if self.pci_is_selected(port, width) => {
                devices.port_write(PCI_ADDRESS, IoWidth::Dword, self.pci_address & !3);
                devices.port_read(port, width)
            }
            FW_CFG_DATA if width == IoWidth::Byte && self.fw_cfg_is_hidden => 0,
            FW_CFG_DATA if width == IoWidth::Byte => devices.port_read(port, width),
            ACPI_TIMER if width == IoWidth::Dword => devices.port_read(port, width),
            _ if is_plain(port, width) => devices.port_read(port, width),
            _ => u32::MAX,
        };
        PortAnswer::Value(value & width.mask() as u32)
    }

    /// OUT.
    pub fn write(
        &mut self,
        devices: &mut dyn Devices,
        port: u16,
        width: IoWidth,
        value: u32,
    ) -> PortAnswer {
        let value = value & width.mask() as u32;
        if self.scratch.as_mut().is_some_and(|device| device.write(port, width, value)) {
            return PortAnswer::Done;
        }
        if self.look.as_mut().is_some_and(|device| device.write(port, width, value)) {
            return PortAnswer::Look(value);
        }
        match port {
            verdict::PORT if self.has_debug_exit => return PortAnswer::Verdict(value),
            KEYBOARD if value & 0xFF == PULSE_RESET => return PortAnswer::Reset,
            RESET if value & RESET_CPU != 0 => return PortAnswer::Reset,
            ACPI_CONTROL if self.has_acpi && value & SLEEP_ENABLE != 0 => {
                return PortAnswer::PowerOff;
            }
            PCI_ADDRESS if width == IoWidth::Dword => self.pci_address = value,
            PCI_DATA..=0xCFF
                if self.pci_is_selected(port, width) && self.pci_address & !3 == PCI_SCRATCHPAD =>
            {
                devices.port_write(PCI_ADDRESS, IoWidth::Dword, PCI_SCRATCHPAD);
                devices.port_write(port, width, value);
            }
            PCI_DATA..=0xCFF if self.pci_is_selected(port, width) => {
                let place = (port - PCI_DATA, width);
                self.pci.write(devices, self.pci_address, place, value);
            }
            FW_CFG_SELECTOR if width == IoWidth::Word => {
                self.fw_cfg_is_hidden = FW_CFG_HIDDEN.contains(&(value as u16 & 0x3FFF));
                devices.port_write(port, width, value);
            }
            _ if is_plain(port, width) => devices.port_write(port, width, value),
            _ => {}
        }
        PortAnswer::Done
    }

    /// A function is selected and the access stays in the data register.
    fn pci_is_selected(&self, port: u16, width: IoWidth) -> bool {
        self.pci_address & PCI_ENABLE != 0 && port - PCI_DATA + u16::from(width.bytes()) <= 4
    }
}

/// Ports that are passed on as they are.
fn is_plain(port: u16, width: IoWidth) -> bool {
    let last = port.saturating_add(u16::from(width.bytes()) - 1);
    let within = |first: u16, end: u16| first <= port && last <= end;
    within(COM1, COM1 + 7)
        || within(CMOS, CMOS + 1)
        || within(POST, POST)
        || within(DELAY, DELAY)
        || within(TEST_REGISTER, TEST_REGISTER + 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{FakeDevices, Seen};
    use proptest::prelude::*;

    const WIDTHS: [IoWidth; 3] = [IoWidth::Byte, IoWidth::Word, IoWidth::Dword];

    #[test]
    fn a_byte_for_the_console_gets_there() {
        let (mut ports, mut devices) = (Ports::new(Features::empty()), FakeDevices::default());
        let answer = ports.write(&mut devices, 0x3F8, IoWidth::Byte, 0x1234_5641);
        assert_eq!(answer, PortAnswer::Done);
        assert_eq!(devices.seen, [Seen::PortWrite(0x3F8, IoWidth::Byte, 0x41)]);
        devices.answer = 0xFFFF_FF60;
        let answer = ports.read(&mut devices, 0x3FD, IoWidth::Byte);
        assert_eq!(answer, PortAnswer::Value(0x60));
    }

    #[test]
    fn what_is_not_in_the_table_is_not_there() {
        let allowed = |port: u16| matches!(port, 0x70..=0x71 | 0x80 | 0xE0..=0xE3 | 0xED | 0x3F8..=0x3FF | 0x510..=0x511 | 0x608);
        for port in (0..=u16::MAX).filter(|port| !allowed(*port) && *port != verdict::PORT) {
            for width in WIDTHS {
                let (mut ports, mut devices) =
                    (Ports::new(Features::empty()), FakeDevices::default());
                let read = ports.read(&mut devices, port, width);
                assert!(
                    read == PortAnswer::Value(width.mask() as u32) || port == PCI_ADDRESS,
                    "{port:#x}"
                );
                assert_eq!(ports.write(&mut devices, port, width, 0), PortAnswer::Done);
                assert_eq!(devices.seen, [], "{port:#x}");
            }
        }
    }

    #[test]
    fn an_access_does_not_reach_over_the_edge_of_a_device() {
        let (mut ports, mut devices) = (Ports::new(Features::empty()), FakeDevices::default());
        for (port, width) in [
            (0x3FF, IoWidth::Word),
            (0xE1, IoWidth::Dword),
            (0xDF, IoWidth::Word),
            (0x3F7, IoWidth::Dword),
            (0x71, IoWidth::Word),
            (0x80, IoWidth::Word),
            (0x511, IoWidth::Word),
            (0x510, IoWidth::Dword),
            (0xFFFF, IoWidth::Dword),
        ] {
            let _ = ports.read(&mut devices, port, width);
            let _ = ports.write(&mut devices, port, width, 0);
        }
        assert_eq!(devices.seen, []);
    }

    #[test]
    fn the_scratch_port_is_there_if_it_is_asked_for() {
        let mut devices = FakeDevices::default();
        for (features, value) in [(Features::empty(), 0xFF), (Features::SCRATCH_PORT, 0x5A)] {
            let mut ports = Ports::new(features);
            let _ = ports.write(&mut devices, 0x5A0, IoWidth::Byte, 0x5A);
            let read = ports.read(&mut devices, 0x5A0, IoWidth::Byte);
            assert_eq!(read, PortAnswer::Value(value));
        }
        assert_eq!(devices.seen, []);
    }

    #[test]
    fn pci_configuration_can_be_read_and_not_written() {
        let (mut ports, mut devices) = (Ports::new(Features::empty()), FakeDevices::default());
        devices.answer = 0x29C0_8086;
        let _ = ports.write(&mut devices, 0xCF8, IoWidth::Dword, 0x8000_0002);
        assert_eq!(ports.read(&mut devices, 0xCFE, IoWidth::Word), PortAnswer::Value(0x8086),);
        let select = Seen::PortWrite(0xCF8, IoWidth::Dword, 0x8000_0000);
        assert_eq!(devices.seen, [select, Seen::PortRead(0xCFE, IoWidth::Word)]);
        devices.seen.clear();
        for register in (0..0x100).step_by(4).filter(|register| *register != 0xDC) {
            let _ = ports.write(&mut devices, 0xCF8, IoWidth::Dword, 0x8000_0000 | register);
            let _ = ports.write(&mut devices, 0xCFC, IoWidth::Dword, u32::MAX);
        }
        let _ = ports.write(&mut devices, 0xCF8, IoWidth::Dword, 0x8000_F8DC);
        let _ = ports.write(&mut devices, 0xCFC, IoWidth::Dword, u32::MAX);
        assert_eq!(devices.seen, []);
        let _ = ports.write(&mut devices, 0xCF8, IoWidth::Dword, 0x8000_00DC);
        let _ = ports.write(&mut devices, 0xCFC, IoWidth::Word, 0xA5C3);
        assert_eq!(devices.seen[1], Seen::PortWrite(0xCFC, IoWidth::Word, 0xA5C3));
    }

    #[test]
    fn what_runs_under_the_td_is_hidden_in_fw_cfg() {
        let (mut ports, mut devices) = (Ports::new(Features::empty()), FakeDevices::default());
        devices.answer = b'Q'.into();
        for (item, value) in [(0, b'Q'), (0x11, 0), (0x4011, 0), (0x19, b'Q'), (0x12, 0)] {
            let _ = ports.write(&mut devices, 0x510, IoWidth::Word, item);
            let read = ports.read(&mut devices, 0x511, IoWidth::Byte);
            assert_eq!(read, PortAnswer::Value(value.into()), "{item:#x}");
        }
    }

    #[test]
    fn the_ways_out_are_recognised() {
        let (mut ports, mut devices) = (Ports::new(Features::empty()), FakeDevices::default());
        let mut out = |port, width, value| ports.write(&mut devices, port, width, value);
        assert_eq!(out(0xF4, IoWidth::Dword, 0x10), PortAnswer::Verdict(0x10));
        assert_eq!(out(0xF4, IoWidth::Byte, 0x110), PortAnswer::Verdict(0x10));
        assert_eq!(out(0x64, IoWidth::Byte, 0xFE), PortAnswer::Reset);
        assert_eq!(out(0xCF9, IoWidth::Byte, 6), PortAnswer::Reset);
        assert_eq!(out(0x604, IoWidth::Word, 0x2000), PortAnswer::PowerOff);
        assert_eq!(out(0x604, IoWidth::Word, 0), PortAnswer::Done);
    }

    proptest! {
        #[test]
        fn no_sequence_reaches_a_forbidden_device(
            accesses in prop::collection::vec((any::<u16>(), 0..3_usize, any::<u32>(), any::<bool>()), 0..50)
        ) {
            let (mut ports, mut devices) = (Ports::new(Features::empty()), FakeDevices::default());
            for (port, width, value, is_write) in accesses {
                let port = if value & 1 == 0 { port } else { 0xCF8 + port % 8 };
                let width = WIDTHS[width];
                let _ = if is_write {
                    ports.write(&mut devices, port, width, value)
                } else {
                    ports.read(&mut devices, port, width)
                };
            }
            for seen in devices.seen {
                if let Seen::PortWrite(port, _, value) = seen {
                    let harmless = matches!(
                        port,
                        0x70..=0x71 | 0x80 | 0xE0..=0xE3 | 0xED | 0x3F8..=0x3FF | 0x510 | 0xCF8
                    );
                    prop_assert!(harmless || (0xCFC..=0xCFF).contains(&port), "{port:#x} {value:#x}");
                }
            }
        }
    }
}
