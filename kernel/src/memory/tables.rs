//! Changes of live page tables, one 4 KiB page at a time. [SDM3 5.5.4, 5.10.4]
//!
//! [`prepare`] does what may fail for want of memory: tables on the way are made, large pages
//! on the way are split into pages that lead to the same place with the same rights. After it
//! [`set`] and [`set_present`] only write one entry. They do not flush: what was present may
//! still be in the TLB until [`Tables::flush`]. What was not present never is.
//!
//! An entry keeps its address and rights while its page is not present. Tables are never
//! freed.

use core::fmt;

use super::walk::{ADDRESS, LARGE, PRESENT, WRITABLE, is_canonical};
use abi::PAGE_SIZE;

/// A leaf's PAT bit: bit 7 of a 4 KiB page, bit 12 of a large one.
const PAT: u64 = 1 << 7;
const PAT_LARGE: u64 = 1 << 12;
/// Entries of a table.
const ENTRIES: u64 = 512;

/// Page tables in use, or a test's.
pub(crate) trait Tables {
    /// Address of the top table.
    fn root(&self) -> u64;
    /// The entry at a guest-physical address; none if no table can be there.
    fn read(&self, at: u64) -> Option<u64>;
    /// Changes the entry at a guest-physical address that [`Tables::read`] reads.
    fn write(&mut self, at: u64, entry: u64);
    /// The guest-physical address of a page of zeros, for a table.
    fn new_table(&mut self) -> Option<u64>;
    /// Drops what the TLB knows of a linear address: INVLPG.
    fn flush(&mut self, address: u64);
}

/// Why page tables were not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// No memory for a table.
    NoMemory,
    /// The linear address is not canonical, or its tables are in no memory of the kernel's.
    NoTable(u64),
    /// Another page is mapped at the linear address.
    Taken(u64),
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemory => f.write_str("no memory for page tables"),
            Self::NoTable(address) => write!(f, "no page table for {address:#x}"),
            Self::Taken(address) => write!(f, "{address:#x} is mapped already"),
        }
    }
}

impl core::error::Error for TableError {}

/// Makes sure that `address` has an entry of its own in a table of 4 KiB pages. What is
/// mapped stays as it is.
pub(crate) fn prepare(tables: &mut impl Tables, address: u64) -> Result<(), TableError> {
    let no_table = TableError::NoTable(address);
    if !is_canonical(address) {
        return Err(no_table);
    }
    let mut table = tables.root() & ADDRESS;
    for level in [4, 3, 2] {
        let at = slot(table, address, level);
        let entry = tables.read(at).ok_or(no_table)?;
        let next = match entry {
            _ if entry & PRESENT == 0 => make(tables, at)?,
            _ if level < 4 && entry & LARGE != 0 => {
                let next = split(tables, at, entry, level)?;
                tables.flush(address);
                next
            }
            _ => entry,
        };
        table = next & ADDRESS;
    }
    tables.read(slot(table, address, 1)).map(drop).ok_or(no_table)
}

/// Says where the page at `address`, [prepared](prepare) and not present, leads once it is
/// made present, and what it may be.
pub(crate) fn set(tables: &mut impl Tables, address: u64, entry: u64) -> Result<(), TableError> {
    let at = leaf(tables, address)?;
    match tables.read(at) {
        Some(old) if old & PRESENT == 0 => {
            tables.write(at, entry & !PRESENT);
            Ok(())
        }
        _ => Err(TableError::Taken(address)),
    }
}

/// Makes the page at `address`, [prepared](prepare), present or not.
pub(crate) fn set_present(
    tables: &mut impl Tables,
    address: u64,
    is_present: bool,
) -> Result<(), TableError> {
    let at = leaf(tables, address)?;
    let entry = tables.read(at).ok_or(TableError::NoTable(address))?;
    tables.write(at, if is_present { entry | PRESENT } else { entry & !PRESENT });
    Ok(())
}

/// Where the entry of a 4 KiB page is.
fn leaf(tables: &impl Tables, address: u64) -> Result<u64, TableError> {
    let mut table = tables.root() & ADDRESS;
    for level in [4, 3, 2] {
        let entry = tables.read(slot(table, address, level));
        table = match entry {
            Some(entry) if entry & PRESENT != 0 && entry & LARGE == 0 => entry & ADDRESS,
            _ => return Err(TableError::NoTable(address)),
        };
    }
    Ok(slot(table, address, 1))
}

/// Where the entry of `address` is in a table of `level`.
const fn slot(table: u64, address: u64, level: u32) -> u64 {
    table + (address >> shift(level) & (ENTRIES - 1)) * 8
}

/// What an entry of `level` covers, as a power of two.
const fn shift(level: u32) -> u32 {
    12 + 9 * (level - 1)
}

/// Puts an empty table behind the entry at `at`; what pages may be is said by their leaves.
fn make(tables: &mut impl Tables, at: u64) -> Result<u64, TableError> {
    let table = tables.new_table().ok_or(TableError::NoMemory)?;
    let entry = table | PRESENT | WRITABLE;
    tables.write(at, entry);
    Ok(entry)
}

/// Replaces the large page of `level` by a table of smaller ones, which is whole before the
/// processor sees it.
fn split(tables: &mut impl Tables, at: u64, large: u64, level: u32) -> Result<u64, TableError> {
    let table = tables.new_table().ok_or(TableError::NoMemory)?;
    let first = piece(large, level);
    for index in 0..ENTRIES {
        tables.write(table + index * 8, first + (index << shift(level - 1)));
    }
    let entry = table | PRESENT | WRITABLE;
    tables.write(at, entry);
    Ok(entry)
}

/// The entry of the first piece of a large page of `level`.
const fn piece(large: u64, level: u32) -> u64 {
    // Its address ends at the size of the page; PAT is below that.
    let in_page = (1 << shift(level)) - PAGE_SIZE;
    let rest = large & !in_page;
    if level > 2 {
        rest | large & PAT_LARGE
    } else {
        rest & !LARGE | if large & PAT_LARGE != 0 { PAT } else { 0 }
    }
}

#[cfg(test)]
pub(crate) mod fakes {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// Tables in a map; the top one is at 0x1000, new ones from 0x10_0000 on.
    pub(crate) struct Fake {
        pub(crate) entries: BTreeMap<u64, u64>,
        pub(crate) free_tables: u64,
        pub(crate) flushed: BTreeSet<u64>,
        next_table: u64,
    }

    impl Fake {
        pub(crate) fn new(entries: &[(u64, u64)]) -> Self {
            let entries = entries.iter().copied().collect();
            Self { entries, free_tables: 10, flushed: BTreeSet::new(), next_table: 0x10_0000 }
        }
    }

    impl Tables for Fake {
        fn root(&self) -> u64 {
            0x1000
        }

        fn read(&self, at: u64) -> Option<u64> {
            (at < 1 << 47).then(|| self.entries.get(&at).copied().unwrap_or(0))
        }

        fn write(&mut self, at: u64, entry: u64) {
            self.entries.insert(at, entry);
        }

        fn new_table(&mut self) -> Option<u64> {
            self.free_tables = self.free_tables.checked_sub(1)?;
            self.next_table += PAGE_SIZE;
            Some(self.next_table)
        }

        fn flush(&mut self, address: u64) {
            self.flushed.insert(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fakes::Fake;
    use super::*;
    use crate::memory::walk::{Translation, translate};

    const NO_EXECUTE: u64 = 1 << 63;
    const GIB: u64 = 1 << 30;
    const MIB: u64 = 1 << 20;

    fn to(tables: &Fake, address: u64) -> Option<Translation> {
        translate(tables.root(), address, |at| tables.read(at))
    }

    /// One page of 1 GiB at 0, writable, and one of 2 MiB behind it, read-only.
    fn large() -> Fake {
        let flags = NO_EXECUTE | LARGE | PRESENT;
        Fake::new(&[
            (0x1000, 0x2003),
            (0x2000, (3 * GIB) | flags | WRITABLE),
            (0x2008, 0x3003),
            (0x3000, (5 * GIB) | flags),
        ])
    }

    #[test]
    fn a_large_page_is_split_without_a_change() {
        let mut tables = large();
        let addresses = [0, 0x1234, 2 * MIB, GIB - 1, GIB, GIB + 0x1000, GIB + 2 * MIB - 1];
        let before = addresses.map(|address| to(&tables, address).unwrap());
        for address in addresses {
            prepare(&mut tables, address).unwrap();
            assert_eq!(addresses.map(|address| to(&tables, address).unwrap()), before);
        }
        // Of 1 GiB: one table, and one for each 2 MiB that was asked for.
        assert_eq!(10 - tables.free_tables, 1 + 3 + 1);
        let leaf = leaf(&tables, 2 * MIB).unwrap();
        assert_eq!(tables.read(leaf), Some((3 * GIB + 2 * MIB) | NO_EXECUTE | WRITABLE | PRESENT));
    }

    #[test]
    fn a_split_page_is_flushed() {
        let mut tables = large();
        prepare(&mut tables, GIB + 0x5000).unwrap();
        assert!(tables.flushed.contains(&(GIB + 0x5000)));
    }

    #[test]
    fn the_memory_type_survives_the_split() {
        let large = (4 * GIB) | NO_EXECUTE | PAT_LARGE | 1 << 3 | LARGE | PRESENT;
        let middle = piece(large, 3);
        assert_eq!(middle, large);
        assert_eq!(piece(middle, 2), (4 * GIB) | NO_EXECUTE | PAT | 1 << 3 | PRESENT);
        assert_eq!(piece((4 * GIB) | LARGE | PRESENT, 2), (4 * GIB) | PRESENT);
    }

    #[test]
    fn one_page_goes_and_comes_back_and_its_neighbours_stay() {
        let mut tables = large();
        prepare(&mut tables, 0x5000).unwrap();
        let before = to(&tables, 0x5000);
        set_present(&mut tables, 0x5000, false).unwrap();
        assert_eq!(to(&tables, 0x5000), None);
        assert_eq!(to(&tables, 0x4FFF).unwrap().gpa, 3 * GIB + 0x4FFF);
        assert_eq!(to(&tables, 0x6000).unwrap().gpa, 3 * GIB + 0x6000);
        set_present(&mut tables, 0x5000, true).unwrap();
        assert_eq!(to(&tables, 0x5000), before);
    }

    #[test]
    fn a_page_is_mapped_where_no_tables_were_and_once() {
        let mut tables = Fake::new(&[]);
        let address = 0xFFFF_8000_0040_3000;
        assert_eq!(set(&mut tables, address, 0x7003), Err(TableError::NoTable(address)));
        prepare(&mut tables, address).unwrap();
        for entry in [0x7003, 1 << 47 | 0x7003] {
            set(&mut tables, address, entry).unwrap();
            assert_eq!(to(&tables, address), None);
        }
        set_present(&mut tables, address, true).unwrap();
        assert_eq!(to(&tables, address).unwrap().gpa, 1 << 47 | 0x7000);
        assert_eq!(set(&mut tables, address, 0x8003), Err(TableError::Taken(address)));
    }

    #[test]
    fn want_of_memory_changes_nothing() {
        for free in 0..2 {
            let mut tables = large();
            tables.free_tables = free;
            let before = to(&tables, 0x5000);
            assert_eq!(prepare(&mut tables, 0x5000), Err(TableError::NoMemory), "{free}");
            assert_eq!(to(&tables, 0x5000), before);
        }
    }

    #[test]
    fn what_can_not_be_is_refused() {
        let mut tables = Fake::new(&[(0x1000, 0x000F_FFFF_FFFF_F003)]);
        assert_eq!(prepare(&mut tables, 1 << 47), Err(TableError::NoTable(1 << 47)));
        assert_eq!(prepare(&mut tables, 0), Err(TableError::NoTable(0)));
        assert_eq!(set_present(&mut tables, 0, false), Err(TableError::NoTable(0)));
    }
}
