//! The EPT of the TD's shared half, which the VMM builds in its own memory.
//! [ABI-G 10], [SDM3 29.3]
//!
//! An entry is one of four things:
//!
//! | entry | access of the TD |
//! |---|---|
//! | absent: suppress-#VE alone | exit to the VMM |
//! | MMIO: all zero, so suppress-#VE is clear | #VE in the TD |
//! | page: RWX, write-back, suppress-#VE | memory |
//! | table: RWX, suppress-#VE | walk goes on |
//!
//! So the first touch of an MMIO page exits, the VMM marks the page, and from then on
//! the TD gets a #VE and asks by VMCALL, as under KVM. The tables are indexed by the
//! whole GPA, SHARED bit included. A TD writes none of this: only the VMM's own
//! tables and zeroed pages are ever linked.

use abi::{GpaWidth, Hpa, SharedGpa};

use crate::failure::Failure;
use crate::iommu::DeviceTables;
use crate::pool::Pool;
use crate::seam::Memory;

const SUPPRESS_VE: u64 = 1 << 63;
const RWX: u64 = 7;
const WRITE_BACK: u64 = 6 << 3;
const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;
const MMIO: u64 = 0;

/// What the tables say about a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing yet.
    Absent,
    /// Marked as MMIO.
    Mmio,
    /// Backed by this page.
    Page(Hpa),
}

/// The tables.
#[derive(Clone, Copy, Debug)]
pub struct SharedEpt {
    root: Hpa,
    levels: u32,
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
        Ok(Self { root: table(memory, pool)?, levels })
    }

    /// The root, for SHARED_EPTP.
    #[must_use]
    pub const fn root(&self) -> Hpa {
        self.root
    }

    /// The tables below the SHARED bit, by which devices see the TD's shared memory: addresses
    /// without that bit lead there where the TD's with it do.
    ///
    /// # Errors
    /// No page is left for a table.
    pub fn device_tables(
        &self,
        memory: &mut dyn Memory,
        pool: &mut Pool,
        width: GpaWidth,
    ) -> Result<DeviceTables, Failure> {
        let start = SharedGpa::try_new(0, width).map_err(|_| Failure::Iommu("no address 0"))?;
        let levels = self.levels - 1;
        Ok(DeviceTables { root: next(memory, pool, slot(self.root, start, levels))?, levels })
    }

    /// What the tables say about the page of `gpa`.
    pub fn entry(&self, memory: &dyn Memory, gpa: SharedGpa) -> Entry {
        let mut table = self.root;
        for level in (1..self.levels).rev() {
            let entry = memory.read_u64(slot(table, gpa, level));
            match Hpa::try_new(entry & ADDRESS) {
                Ok(next) if entry & RWX != 0 => table = next,
                _ => return Entry::Absent,
            }
        }
        let entry = memory.read_u64(slot(table, gpa, 0));
        match Hpa::try_new(entry & ADDRESS) {
            Ok(page) if entry & RWX != 0 => Entry::Page(page),
            _ if entry == MMIO => Entry::Mmio,
            _ => Entry::Absent,
        }
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

    /// The page behind `gpa`; a zeroed one is put there if there is none.
    ///
    /// # Errors
    /// No page is left.
    pub fn back(
        &self,
        memory: &mut dyn Memory,
        pool: &mut Pool,
        gpa: SharedGpa,
    ) -> Result<Hpa, Failure> {
        if let Entry::Page(page) = self.entry(memory, gpa) {
            return Ok(page);
        }
        let leaf = self.leaf(memory, pool, gpa)?;
        let page = pool.own().ok_or(Failure::OutOfMemory("the TD's shared memory"))?;
        memory.zero(page, abi::PAGE_SIZE);
        memory.write_u64(leaf, page.bits() | SUPPRESS_VE | WRITE_BACK | RWX);
        Ok(page)
    }

    /// Where the leaf entry of `gpa` is; tables on the way are made.
    fn leaf(
        &self,
        memory: &mut dyn Memory,
        pool: &mut Pool,
        gpa: SharedGpa,
    ) -> Result<Hpa, Failure> {
        let mut at = self.root;
        for level in (1..self.levels).rev() {
            at = next(memory, pool, slot(at, gpa, level))?;
        }
        Ok(slot(at, gpa, 0))
    }
}

/// The table that the entry at `slot` leads to; made if there is none.
fn next(memory: &mut dyn Memory, pool: &mut Pool, slot: Hpa) -> Result<Hpa, Failure> {
    let entry = memory.read_u64(slot);
    match Hpa::try_new(entry & ADDRESS) {
        Ok(next) if entry & RWX != 0 => Ok(next),
        _ => {
            let next = table(memory, pool)?;
            memory.write_u64(slot, next.bits() | SUPPRESS_VE | RWX);
            Ok(next)
        }
    }
}

/// Where `table` has its entry for `gpa`.
fn slot(table: Hpa, gpa: SharedGpa, level: u32) -> Hpa {
    let index = gpa.bits() >> (12 + 9 * level) & 511;
    // A table is a page below 2^52, so the sum is below it too.
    Hpa::try_new(table.bits() + index * 8).unwrap_or(table)
}

/// A table whose entries are all absent.
fn table(memory: &mut dyn Memory, pool: &mut Pool) -> Result<Hpa, Failure> {
    let table = pool.own().ok_or(Failure::OutOfMemory("the shared EPT"))?;
    for at in (table.bits()..table.bits() + abi::PAGE_SIZE).step_by(8) {
        memory.write_u64(Hpa::try_new(at).unwrap_or(table), SUPPRESS_VE);
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{FakeMemory, pool};

    /// What the module does with the tables. [ABI-G 10]
    fn walk(memory: &FakeMemory, root: Hpa, levels: u32, gpa: u64) -> u64 {
        let mut table = root.bits();
        for level in (0..levels).rev() {
            let index = gpa >> (12 + 9 * level) & 511;
            let entry = memory.read_u64(Hpa::try_new(table + index * 8).unwrap());
            if entry & RWX == 0 || level == 0 {
                return entry;
            }
            assert_eq!(entry & 0xFF8, 0, "a table's reserved bits");
            table = entry & ADDRESS;
        }
        unreachable!()
    }

    fn gpa(address: u64, width: GpaWidth) -> SharedGpa {
        SharedGpa::try_new(address, width).unwrap()
    }

    #[test]
    fn mmio_is_the_only_entry_that_lets_a_ve_through() {
        for (width, levels) in [(GpaWidth::Bits48, 4), (GpaWidth::Bits52, 5)] {
            let (mut memory, mut pool) = (FakeMemory::new(), pool());
            let ept = SharedEpt::new(&mut memory, &mut pool, width).unwrap();
            let ioapic = gpa(0xFEC0_0000, width);
            assert_eq!(ept.entry(&memory, ioapic), Entry::Absent);
            ept.mark_mmio(&mut memory, &mut pool, ioapic).unwrap();
            assert_eq!(ept.entry(&memory, ioapic), Entry::Mmio);
            assert_eq!(walk(&memory, ept.root(), levels, ioapic.bits()), 0);
            for other in [0xFEC0_1000, 0xFEBF_F000, 0, 0x4000_0000] {
                let entry = walk(&memory, ept.root(), levels, gpa(other, width).bits());
                assert_eq!(entry, SUPPRESS_VE, "{other:#x}");
            }
            // Without the SHARED bit the walk leads elsewhere.
            assert_eq!(walk(&memory, ept.root(), levels, 0xFEC0_0000), SUPPRESS_VE);
        }
    }

    #[test]
    fn memory_is_zeroed_and_stays() {
        let (mut memory, mut pool) = (FakeMemory::new(), pool());
        let ept = SharedEpt::new(&mut memory, &mut pool, GpaWidth::Bits52).unwrap();
        let at = gpa(0x12_3000, GpaWidth::Bits52);
        let page = ept.back(&mut memory, &mut pool, at).unwrap();
        assert_eq!(memory.read_u64(page), 0);
        let entry = walk(&memory, ept.root(), 5, at.bits());
        assert_eq!(entry, page.bits() | SUPPRESS_VE | WRITE_BACK | RWX);
        memory.write_u64(page, 7);
        assert_eq!(ept.back(&mut memory, &mut pool, at), Ok(page));
        assert_eq!((memory.read_u64(page), ept.entry(&memory, at)), (7, Entry::Page(page)));
    }

    #[test]
    fn shared_memory_ends_with_the_vmms_share() {
        let (mut memory, mut pool) = (FakeMemory::new(), pool());
        let ept = SharedEpt::new(&mut memory, &mut pool, GpaWidth::Bits48).unwrap();
        let end = (0..1 << 20).find_map(|page| {
            ept.back(&mut memory, &mut pool, gpa(page << 12, GpaWidth::Bits48)).err()
        });
        assert!(matches!(end, Some(Failure::OutOfMemory(_))));
    }
}
