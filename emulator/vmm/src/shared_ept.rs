//! The EPT of the TD's shared half, which the VMM builds in its own memory, and in it which
//! pages the TD has asked to share. [ABI-G 10], [SDM3 29.3]
//!
//! | entry | access of the TD |
//! |---|---|
//! | private: suppress-#VE alone | exit to the VMM |
//! | shared: suppress-#VE and bit 52 | exit to the VMM |
//! | MMIO: all zero, so suppress-#VE is clear | #VE in the TD |
//! | mapped: a shared page with RWX, write-back | memory |
//! | table: RWX, suppress-#VE | walk goes on |
//!
//! So the first touch of an MMIO page exits, the VMM marks the page, and from then on
//! the TD gets a #VE and asks by VMCALL, as under KVM. Bit 52, which the CPU ignores, is KVM's
//! memory attribute: without it the page is private, as all memory is at first. An entry that is not
//! present may hold the address of a page nevertheless: the VMM has written there already, as QEMU
//! writes shared memory that the TD does not see.
//!
//! The tables are indexed by the whole GPA, SHARED bit included; the table below that bit serves
//! devices, which do not know it ([`SharedEpt::device_tables`]). A TD writes none of this: only the
//! VMM's own tables and zeroed pages are ever linked.
//!
//! A page goes in two steps: [`SharedEpt::unmap`] ends the mapping, and when nobody has a copy of it
//! any more, [`SharedEpt::discard`] takes the page. See [`crate::conversion`].

use abi::{GpaWidth, Hpa, PAGE_SIZE, SharedGpa};

use crate::failure::Failure;
use crate::iommu::{DeviceTables, Iommu};
use crate::pool::Pool;
use crate::ram::Range;
use crate::seam::Memory;

const SUPPRESS_VE: u64 = 1 << 63;
/// The TD shares the page. An entry above the leaves has it for all pages below.
const SHARED: u64 = 1 << 52;
const RWX: u64 = 7;
const WRITE_BACK: u64 = 6 << 3;
const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;
const MMIO: u64 = 0;
/// Index of the last level, and of the one above it, whose entry spans 2 MiB.
const LEAF: u32 = 0;
const LEAF_TABLE: u32 = 1;

/// What the tables say about a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The TD does not share it.
    Private,
    /// The TD shares it, but has not touched it yet.
    Shared,
    /// Marked as MMIO.
    Mmio,
    /// Shared, and mapped to this page.
    Mapped(Hpa),
}

/// The tables.
#[derive(Clone, Copy, Debug)]
pub struct SharedEpt {
    root: Hpa,
    levels: u32,
    width: GpaWidth,
    device_table: Hpa,
    /// What else walks the tables.
    pub(crate) iommu: Option<Iommu>,
}

/// Where a walk ends: place, content and level of the entry.
#[derive(Clone, Copy)]
struct End {
    slot: Hpa,
    entry: u64,
    level: u32,
}

impl SharedEpt {
    /// Empty tables, as deep as the TD's secure EPT: five levels for 52 address bits.
    ///
    /// # Errors
    /// No page is left.
    pub fn new(memory: &mut dyn Memory, pool: &mut Pool, width: GpaWidth) -> Result<Self, Failure> {
        let levels = match width {
            GpaWidth::Bits48 => 4,
            GpaWidth::Bits52 => 5,
        };
        let root = table(memory, pool, SUPPRESS_VE)?;
        let device_table = table(memory, pool, SUPPRESS_VE)?;
        // No bit but the SHARED one: the first address of that half.
        let at = slot(root, width.shared_mask(), levels - 1);
        memory.write_u64(at, device_table.bits() | SUPPRESS_VE | RWX);
        Ok(Self { root, levels, width, device_table, iommu: None })
    }

    /// The root, for SHARED_EPTP.
    #[must_use]
    pub const fn root(&self) -> Hpa {
        self.root
    }

    /// The tables below the SHARED bit, by which devices see the TD's shared memory: addresses
    /// without that bit lead there where the TD's with it do, up to 512 GiB for 48 address bits. They
    /// stay where they are.
    #[must_use]
    pub const fn device_tables(&self) -> DeviceTables {
        DeviceTables { root: self.device_table, levels: self.levels - 1 }
    }

    /// What the tables say about the page of `gpa`.
    pub fn entry(&self, memory: &dyn Memory, gpa: SharedGpa) -> Entry {
        let end = self.walk(memory, gpa);
        match Hpa::try_new(end.entry & ADDRESS) {
            Ok(page) if end.entry & RWX != 0 => Entry::Mapped(page),
            _ if end.entry == MMIO => Entry::Mmio,
            _ if end.entry & SHARED != 0 => Entry::Shared,
            _ => Entry::Private,
        }
    }

    /// Whether the TD shares a page of `range`, which has no SHARED bit.
    pub fn shares_any(&self, memory: &dyn Memory, range: Range) -> bool {
        let mut at = range.start;
        while let Some((end, _)) = self.next(memory, &mut at, range.end) {
            if end.entry & SHARED != 0 {
                return true;
            }
        }
        false
    }

    /// Marks the page of `gpa` as MMIO.
    ///
    /// # Errors
    /// No page is left for a table.
    pub fn mark_mmio(
        &self,
        memory: &mut dyn Memory,
        pool: &mut Pool,
        gpa: SharedGpa,
    ) -> Result<(), Failure> {
        let leaf = self.leaf(memory, pool, gpa)?;
        memory.write_u64(leaf, MMIO);
        Ok(())
    }

    /// The page behind `gpa` as the VMM has it; a zeroed one is put there if there is none. The
    /// TD does not see it before it is mapped.
    ///
    /// # Errors
    /// No page is left.
    pub fn back(
        &self,
        memory: &mut dyn Memory,
        pool: &mut Pool,
        gpa: SharedGpa,
    ) -> Result<Hpa, Failure> {
        let leaf = self.leaf(memory, pool, gpa)?;
        let entry = memory.read_u64(leaf);
        if let Some(page) = page_of(entry) {
            return Ok(page);
        }
        let page = pool.own(memory).ok_or(Failure::OutOfMemory("the TD's shared memory"))?;
        memory.zero(page, PAGE_SIZE);
        memory.write_u64(leaf, page.bits() | SUPPRESS_VE | entry & SHARED);
        Ok(page)
    }

    /// The page behind `gpa`, if there is one.
    pub fn backing(&self, memory: &dyn Memory, gpa: SharedGpa) -> Option<Hpa> {
        let end = self.walk(memory, gpa);
        page_of(end.entry).filter(|_| end.level == LEAF)
    }

    /// Maps the page of `gpa`, which the TD shares.
    ///
    /// # Errors
    /// No page is left.
    pub fn map(
        &self,
        memory: &mut dyn Memory,
        pool: &mut Pool,
        gpa: SharedGpa,
    ) -> Result<Hpa, Failure> {
        let page = self.back(memory, pool, gpa)?;
        let leaf = self.leaf(memory, pool, gpa)?;
        memory.write_u64(leaf, page.bits() | SUPPRESS_VE | SHARED | WRITE_BACK | RWX);
        Ok(page)
    }

    /// Notes that the TD shares the pages of `range` (without SHARED bit, whole pages).
    ///
    /// # Errors
    /// No page is left for a table.
    pub fn share(
        &self,
        memory: &mut dyn Memory,
        pool: &mut Pool,
        range: Range,
    ) -> Result<(), Failure> {
        let mut at = range.start;
        while let Some((end, from)) = self.next(memory, &mut at, range.end) {
            if end.level == LEAF || end.level == LEAF_TABLE && from.len() == span(LEAF_TABLE) {
                memory.write_u64(end.slot, end.entry | SUPPRESS_VE | SHARED);
                continue;
            }
            // A table is missing: make it, and come again.
            if end.entry & SHARED == 0 {
                let Some(gpa) = self.gpa(from.start) else { return Ok(()) };
                self.leaf(memory, pool, gpa)?;
                at = from.start;
            }
        }
        Ok(())
    }

    /// Ends the mappings of `range` (without SHARED bit, whole pages), whose pages are private from
    /// now on. Whether there was one.
    ///
    /// # Errors
    /// No page is left for a table.
    pub fn unmap(
        &self,
        memory: &mut dyn Memory,
        pool: &mut Pool,
        range: Range,
    ) -> Result<bool, Failure> {
        let (mut at, mut was_mapped) = (range.start, false);
        while let Some((end, from)) = self.next(memory, &mut at, range.end) {
            was_mapped |= end.entry & RWX != 0;
            if end.level == LEAF || from.len() == span(end.level) {
                memory.write_u64(end.slot, end.entry & ADDRESS | SUPPRESS_VE);
            } else if end.entry & SHARED != 0 {
                let Some(gpa) = self.gpa(from.start) else { break };
                self.leaf(memory, pool, gpa)?;
                at = from.start;
            }
        }
        Ok(was_mapped)
    }

    /// Takes the pages of `range` that [`Self::unmap`] has left there. Not where there are devices:
    /// one can have DMA under way that was begun before, so a page that was shared must not become
    /// somebody else's while the TD runs; it is cleared and waits to be shared again.
    pub fn discard(&self, memory: &mut dyn Memory, pool: &mut Pool, range: Range) {
        let mut at = range.start;
        while let Some((end, _)) = self.next(memory, &mut at, range.end) {
            if let Some(page) =
                page_of(end.entry).filter(|_| end.level == LEAF && end.entry & RWX == 0)
            {
                memory.zero(page, PAGE_SIZE);
                if self.iommu.is_none() {
                    memory.write_u64(end.slot, end.entry & !ADDRESS);
                    pool.disown(memory, page);
                }
            }
        }
    }

    /// The entry that decides for `at`, and which part of `[at, end)` it decides for; `at` moves on.
    fn next(&self, memory: &dyn Memory, at: &mut u64, end: u64) -> Option<(End, Range)> {
        let gpa = self.gpa(*at).filter(|_| *at < end)?;
        let found = self.walk(memory, gpa);
        let from = *at;
        *at = (from & !(span(found.level) - 1)).saturating_add(span(found.level)).min(end);
        Some((found, Range::new(from, *at)))
    }

    /// The shared alias of an address.
    fn gpa(&self, address: u64) -> Option<SharedGpa> {
        SharedGpa::try_new(address, self.width).ok()
    }

    fn walk(&self, memory: &dyn Memory, gpa: SharedGpa) -> End {
        let (mut table, mut level) = (self.root, self.levels - 1);
        loop {
            let slot = slot(table, gpa.bits(), level);
            let entry = memory.read_u64(slot);
            match Hpa::try_new(entry & ADDRESS) {
                Ok(next) if level != LEAF && entry & RWX != 0 => (table, level) = (next, level - 1),
                _ => return End { slot, entry, level },
            }
        }
    }

    /// Where the leaf entry of `gpa` is; tables on the way are made, with entries that say what the
    /// missing one said.
    fn leaf(
        &self,
        memory: &mut dyn Memory,
        pool: &mut Pool,
        gpa: SharedGpa,
    ) -> Result<Hpa, Failure> {
        loop {
            let end = self.walk(memory, gpa);
            if end.level == LEAF {
                return Ok(end.slot);
            }
            let next = table(memory, pool, SUPPRESS_VE | end.entry & SHARED)?;
            memory.write_u64(end.slot, next.bits() | SUPPRESS_VE | RWX);
        }
    }
}

/// The page whose address a leaf entry holds. Page 0 is nobody's.
fn page_of(entry: u64) -> Option<Hpa> {
    Hpa::try_new(entry & ADDRESS).ok().filter(|page| page.bits() != 0)
}

/// Bytes that an entry of `level` spans.
const fn span(level: u32) -> u64 {
    PAGE_SIZE << (9 * level)
}

/// Where `table` has its entry for `gpa`.
fn slot(table: Hpa, gpa: u64, level: u32) -> Hpa {
    let index = gpa >> (12 + 9 * level) & 511;
    // A table is a page below 2^52, so the sum is below it too.
    Hpa::try_new(table.bits() + index * 8).unwrap_or(table)
}

/// A table whose entries are all `entry`.
fn table(memory: &mut dyn Memory, pool: &mut Pool, entry: u64) -> Result<Hpa, Failure> {
    let table = pool.own(memory).ok_or(Failure::OutOfMemory("the shared EPT"))?;
    for at in (table.bits()..table.bits() + PAGE_SIZE).step_by(8) {
        memory.write_u64(Hpa::try_new(at).unwrap_or(table), entry);
    }
    Ok(table)
}

#[cfg(test)]
mod tests;
