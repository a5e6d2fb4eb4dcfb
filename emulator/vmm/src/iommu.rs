//! The IOMMU: QEMU's VT-d unit, which gives the TD's devices the TD's shared memory and
//! nothing else. [VTD 3, 9, 11]
//!
//! ```text
//! root table ─► context table ─► the shared EPT's sub-tree below the SHARED bit ─► pages
//!   bus 0        TD's functions     indexed by the address without that bit
//! ```
//!
//! Second-level tables and EPT share a format where the shared EPT uses it: read and write in
//! bits 1:0, the address in bits 51:12, and bits 63 and 5:2 ignored. So what the TD shares is what
//! its devices reach, at the same addresses, and what is zapped there is gone for them after
//! [`Iommu::invalidate`]. Absent and MMIO entries have neither R nor W: a fault. Every
//! function that is not the TD's has no context entry and is blocked too.
//!
//! What it does not close: a device's write to 0xFEEx_xxxx is an interrupt, and QEMU passes
//! those in compatibility format even with interrupt remapping. fw_cfg's DMA is no PCI
//! function and goes round the unit.

use abi::{Hpa, IoWidth, PAGE_SIZE};

use crate::failure::Failure;
use crate::pci::Address;
use crate::pool::Pool;
use crate::seam::{Devices, Memory};

/// Where QEMU's q35 has the unit.
pub(crate) const BASE: u64 = 0xFED9_0000;

/// Registers. [VTD 11.4]
mod register {
    pub(super) const VERSION: u64 = 0x00;
    pub(super) const CAPABILITY: u64 = 0x08;
    pub(super) const EXTENDED_CAPABILITY: u64 = 0x10;
    pub(super) const COMMAND: u64 = 0x18;
    pub(super) const STATUS: u64 = 0x1C;
    pub(super) const ROOT_TABLE: u64 = 0x20;
    pub(super) const CONTEXT_COMMAND: u64 = 0x28;
    pub(super) const FAULT_STATUS: u64 = 0x34;
}

/// Version 1.0: there is a unit.
const VERSION_1_0: u32 = 0x10;
/// CAPABILITY: a write buffer must be flushed. QEMU's unit has none.
const WRITE_BUFFER: u64 = 1 << 4;
/// CAPABILITY: entries that are not present are cached too.
const CACHING_MODE: u64 = 1 << 7;
/// CAPABILITY: lowest bit of the table depths, three levels being the second.
const DEPTHS: u32 = 8;

/// COMMAND and STATUS: take the root table.
const SET_ROOT: u32 = 1 << 30;
/// COMMAND and STATUS: translate.
const TRANSLATE: u32 = 1 << 31;
/// CONTEXT_COMMAND, upper half: invalidate everything; set until that is done.
const CONTEXT_GLOBAL: u32 = 1 << 31 | 1 << 29;
/// IOTLB, upper half: invalidate everything, after all reads and writes under way.
const IOTLB_GLOBAL: u32 = 1 << 31 | 1 << 28 | 3 << 16;
/// An invalidation is under way.
const BUSY: u32 = 1 << 31;
/// FAULT_STATUS: a fault is recorded.
const FAULT_PENDING: u32 = 1 << 1;

const PRESENT: u64 = 1;
/// The one domain of the TD's functions.
const DOMAIN: u64 = 1;
/// Looks at a register before it counts as stuck.
const PATIENCE: u32 = 100_000;

/// What devices see of the TD's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceTables {
    /// The top table.
    pub root: Hpa,
    /// Levels from it down.
    pub levels: u32,
}

/// The unit, translating.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Iommu {
    /// Offset of the IOTLB register.
    iotlb: u64,
    /// Offset of the first fault record.
    faults: u64,
}

impl Iommu {
    /// Switches the unit on: `functions` reach what `tables` lead to, all others nothing. None
    /// if there is no unit.
    ///
    /// # Errors
    /// No page is left, or the unit cannot do it.
    pub fn start(
        devices: &mut dyn Devices,
        memory: &mut dyn Memory,
        pool: &mut Pool,
        tables: DeviceTables,
        functions: impl Iterator<Item = Address>,
    ) -> Result<Option<Self>, Failure> {
        if read(devices, register::VERSION) != VERSION_1_0 {
            return Ok(None);
        }
        let capability = read_u64(devices, register::CAPABILITY);
        let depth = tables.levels - 2;
        if capability >> (DEPTHS + depth) & 1 == 0 {
            return Err(Failure::Iommu("it has not the depth of the shared EPT"));
        }
        if capability & (WRITE_BUFFER | CACHING_MODE) != 0 {
            return Err(Failure::Iommu("it caches what the VMM does not flush"));
        }
        let extended = read_u64(devices, register::EXTENDED_CAPABILITY);
        let unit = Self {
            iotlb: (extended >> 8 & 0x3FF) * 16 + 8,
            faults: (capability >> 24 & 0x3FF) * 16,
        };
        let root = root_table(memory, pool, tables, functions)?;
        write_u64(devices, register::ROOT_TABLE, root.bits());
        command(devices, SET_ROOT)?;
        write(devices, register::CONTEXT_COMMAND, 0);
        write(devices, register::CONTEXT_COMMAND + 4, CONTEXT_GLOBAL);
        wait(devices, register::CONTEXT_COMMAND + 4, BUSY, 0)?;
        unit.invalidate(devices)?;
        command(devices, TRANSLATE)?;
        Ok(Some(unit))
    }

    /// Forgets every translation. When this returns, what was taken out of the tables is out
    /// of reach for the devices.
    ///
    /// # Errors
    /// The unit does not come to an end.
    pub fn invalidate(&self, devices: &mut dyn Devices) -> Result<(), Failure> {
        write(devices, self.iotlb, 0);
        write(devices, self.iotlb + 4, IOTLB_GLOBAL);
        wait(devices, self.iotlb + 4, BUSY, 0)
    }

    /// The first access that was blocked, if one was. [VTD 11.4.14]
    pub fn fault(&self, devices: &mut dyn Devices) -> Option<Fault> {
        const IS_READ: u32 = 1 << 30;
        if read(devices, register::FAULT_STATUS) & FAULT_PENDING == 0 {
            return None;
        }
        let page = read_u64(devices, self.faults);
        let source = read(devices, self.faults + 8);
        let what = read(devices, self.faults + 12);
        Some(Fault {
            source: Address::from_number(source as u8),
            address: page & !(PAGE_SIZE - 1),
            is_write: what & IS_READ == 0,
            reason: what as u8,
        })
    }
}

/// An access of a device that was blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Who tried, on bus 0.
    pub source: Address,
    /// The page.
    pub address: u64,
    /// It was a write.
    pub is_write: bool,
    /// The unit's reason. [VTD 7.3]
    pub reason: u8,
}

impl core::fmt::Display for Fault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let access = if self.is_write { "write to" } else { "read of" };
        let Self { source, address, reason, .. } = self;
        write!(f, "iommu blocked a {access} {address:#x} by {source}, reason {reason}")
    }
}

/// A root table for bus 0 with a context entry for each function. [VTD 9.1, 9.3]
fn root_table(
    memory: &mut dyn Memory,
    pool: &mut Pool,
    tables: DeviceTables,
    functions: impl Iterator<Item = Address>,
) -> Result<Hpa, Failure> {
    let mut table = || {
        let page = pool.own(memory).ok_or(Failure::OutOfMemory("the IOMMU's tables"))?;
        memory.zero(page, PAGE_SIZE);
        Ok::<Hpa, Failure>(page)
    };
    let (root, context) = (table()?, table()?);
    memory.write_u64(root, context.bits() | PRESENT);
    for function in functions {
        let entry = context.bits() + 16 * u64::from(function.number());
        let (low, high) = (Hpa::try_new(entry), Hpa::try_new(entry + 8));
        // Both lie in the page.
        memory.write_u64(high.unwrap_or(context), DOMAIN << 8 | u64::from(tables.levels - 2));
        memory.write_u64(low.unwrap_or(context), tables.root.bits() | PRESENT);
    }
    Ok(root)
}

/// Gives a command beside what is on already, and waits until it is done.
fn command(devices: &mut dyn Devices, bit: u32) -> Result<(), Failure> {
    let on = read(devices, register::STATUS) & TRANSLATE;
    write(devices, register::COMMAND, on | bit);
    wait(devices, register::STATUS, bit, bit)
}

fn wait(devices: &mut dyn Devices, offset: u64, mask: u32, value: u32) -> Result<(), Failure> {
    let is_done = (0..PATIENCE).any(|_| read(devices, offset) & mask == value);
    if is_done { Ok(()) } else { Err(Failure::Iommu("it does not answer")) }
}

fn read(devices: &mut dyn Devices, offset: u64) -> u32 {
    devices.register_read(BASE + offset, IoWidth::Dword)
}

fn read_u64(devices: &mut dyn Devices, offset: u64) -> u64 {
    let low = read(devices, offset);
    u64::from(read(devices, offset + 4)) << 32 | u64::from(low)
}

fn write(devices: &mut dyn Devices, offset: u64, value: u32) {
    devices.register_write(BASE + offset, IoWidth::Dword, value);
}

fn write_u64(devices: &mut dyn Devices, offset: u64, value: u64) {
    write(devices, offset, value as u32);
    write(devices, offset + 4, (value >> 32) as u32);
}

#[cfg(test)]
pub(crate) mod tests;
