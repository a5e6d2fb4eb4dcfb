//! The PCI functions that a TD has: QEMU's virtio devices on bus 0, and nothing else.
//!
//! A TD finds them as after a reset, and sets them up itself: on a TDX host no firmware does
//! it. What it may write:
//!
//! | register | rule |
//! |---|---|
//! | COMMAND | memory decoding, bus mastering and INTx disable alone |
//! | – memory decoding | only while every memory register lies in [`WINDOW`] and meets no other that decodes |
//! | – bus mastering | only behind an IOMMU that confines it: see [`crate::iommu`] |
//! | memory BARs | whole, and only while memory decoding is off |
//! | everything else | dropped: MSI and MSI-X stay off, no reset, no access by the VIRTIO_PCI_CAP_PCI_CFG window |
//!
//! So no BAR that decodes is ever elsewhere, whatever was written. Reading changes nothing in
//! any function, and is allowed.

mod bar;
pub(crate) mod config;

use abi::IoWidth;

use self::bar::Bar;
pub use self::bar::WINDOW;
pub use self::config::Address;
use crate::iommu::Iommu;
use crate::ram::Range;
use crate::seam::Devices;

/// Functions that a TD can have.
pub const MAX_FUNCTIONS: usize = 8;

/// Vendor of virtio devices. [VIRTIO 4.1.2]
const VIRTIO_VENDOR: u32 = 0x1AF4;
/// Device ids of virtio 1.0 and later, transitional ones left out. [VIRTIO 4.1.2.1]
const VIRTIO_DEVICES: core::ops::RangeInclusive<u32> = 0x1040..=0x107F;
const MULTI_FUNCTION: u32 = 1 << 23;

const MEMORY: u16 = 1 << 1;
const BUS_MASTER: u16 = 1 << 2;
const INTX_DISABLE: u16 = 1 << 10;

/// The functions of the TD.
#[derive(Clone, Debug, Default)]
pub struct Pci {
    functions: [Option<Function>; MAX_FUNCTIONS],
    /// Confines the DMA of each to the TD's shared memory.
    iommu: Option<Iommu>,
    /// The refusal of bus mastering was told.
    is_told: bool,
}

/// One function.
#[derive(Clone, Copy, Debug)]
struct Function {
    at: Address,
    bars: [Option<Bar>; bar::COUNT as usize],
    /// COMMAND as it was last written.
    command: u16,
}

impl Function {
    const fn decodes(&self) -> bool {
        self.command & MEMORY != 0
    }

    fn ranges(&self) -> impl Iterator<Item = Range> + Clone + '_ {
        self.bars.iter().flatten().map(Bar::range)
    }
}

impl Pci {
    /// Finds the virtio functions and puts them into their state after a reset, without bus
    /// mastering.
    pub fn find(devices: &mut dyn Devices) -> Self {
        let mut pci = Self::default();
        let (mut window_is_free, mut has_more) = (true, false);
        for at in (0..=u8::MAX).map(Address::from_number) {
            if !is_there(devices, at, &mut has_more) {
                continue;
            }
            if !is_virtio(config::read(devices, at, config::ID)) {
                let mut ranges = bar::occupied(devices, at);
                window_is_free &= ranges.all(|range| WINDOW.intersection(range).is_empty());
                continue;
            }
            config::write_command(devices, at, 0);
            let function = Function { at, bars: bar::reset(devices, at), command: 0 };
            match pci.functions.iter_mut().find(|place| place.is_none()) {
                Some(place) => *place = Some(function),
                None => log::info!("no place for virtio function {at}"),
            }
        }
        if !window_is_free {
            log::info!("another device is in the PCI window: the TD gets no virtio device");
            return Self::default();
        }
        pci
    }

    /// Where the functions are.
    pub fn functions(&self) -> impl Iterator<Item = Address> + '_ {
        self.functions.iter().flatten().map(|function| function.at)
    }

    /// From here on the TD may switch bus mastering on.
    pub fn confine(&mut self, iommu: Iommu) {
        self.iommu = Some(iommu);
    }

    /// A write to the data register, `offset` bytes into it, while CONFIG_ADDRESS is
    /// `config_address`.
    pub fn write(
        &mut self,
        devices: &mut dyn Devices,
        config_address: u32,
        (offset, width): (u16, IoWidth),
        value: u32,
    ) {
        let Some((at, register)) = Address::selected(config_address) else { return };
        let is = |function: &&mut Function| function.at == at;
        let Some(function) = self.functions.iter_mut().flatten().find(is) else { return };
        if register == config::COMMAND && offset == 0 && width != IoWidth::Byte {
            let command = self.allowed(at, value as u16);
            config::write_command(devices, at, command);
            self.set_command(at, command);
            return;
        }
        let bar = function.bars.iter_mut().flatten().find(|bar| bar.is_at(register));
        if let Some(bar) = bar
            && width == IoWidth::Dword
            && function.command & MEMORY == 0
        {
            config::write(devices, at, register, value);
            bar.read_back(devices, at);
        }
    }

    /// The memory of a function that decodes has all of these addresses.
    #[must_use]
    pub fn has(&self, address: u64, bytes: u64) -> bool {
        let wanted = Range::new(address, address.saturating_add(bytes));
        let decoding = self.functions.iter().flatten().filter(|function| function.decodes());
        decoding.flat_map(Function::ranges).any(|range| range.intersection(wanted) == wanted)
    }

    /// Switches every function off: the run is over. Tells what the IOMMU blocked.
    pub fn quiesce(&mut self, devices: &mut dyn Devices) {
        if let Some(fault) = self.iommu.and_then(|iommu| iommu.fault(devices)) {
            log::info!("{fault}");
        }
        for function in self.functions.iter_mut().flatten() {
            config::write_command(devices, function.at, 0);
            function.command = 0;
        }
    }

    /// What of a value for COMMAND may be written.
    fn allowed(&mut self, at: Address, value: u16) -> u16 {
        let mut allowed = value & (MEMORY | BUS_MASTER | INTX_DISABLE);
        if !self.fits(at) {
            allowed &= !MEMORY;
        }
        if self.iommu.is_none() && allowed & BUS_MASTER != 0 {
            allowed &= !BUS_MASTER;
            if !core::mem::replace(&mut self.is_told, true) {
                log::info!("no IOMMU confines {at}: it gets no bus mastering");
            }
        }
        allowed
    }

    /// The memory of the function at `at` lies in the window and meets no other.
    fn fits(&self, at: Address) -> bool {
        let is_inside = |range: Range| WINDOW.intersection(range) == range && !range.is_empty();
        let functions = || self.functions.iter().flatten();
        let own = functions().filter(|function| function.at == at).flat_map(Function::ranges);
        let others = functions().filter(|function| function.at != at && function.decodes());
        let others = others.flat_map(Function::ranges);
        own.clone().enumerate().all(|(index, range)| {
            let before = own.clone().take(index);
            let mut met = before.chain(others.clone()).map(|other| other.intersection(range));
            is_inside(range) && met.all(Range::is_empty)
        })
    }

    fn set_command(&mut self, at: Address, command: u16) {
        for function in self.functions.iter_mut().flatten().filter(|function| function.at == at) {
            function.command = command;
        }
    }
}

const fn is_virtio(id: u32) -> bool {
    let device = id >> 16;
    id & 0xFFFF == VIRTIO_VENDOR
        && *VIRTIO_DEVICES.start() <= device
        && device <= *VIRTIO_DEVICES.end()
}

/// Whether a function is there. `has_more` is what function 0 of the device said of the others.
fn is_there(devices: &mut dyn Devices, at: Address, has_more: &mut bool) -> bool {
    if at.function() != 0 && !*has_more {
        return false;
    }
    let is_there = config::read(devices, at, config::ID) != u32::MAX;
    if at.function() == 0 {
        *has_more = is_there && config::read(devices, at, config::HEADER) & MULTI_FUNCTION != 0;
    }
    is_there
}

#[cfg(test)]
mod tests;
