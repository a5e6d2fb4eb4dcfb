//! Nested page tables: five levels, because the module runs with CR4.LA57 so that
//! a shared bit at position 51 exists. [SVM B2], [APM2 15.25]
//!
//! ```text
//! 63  62        52 51                     12 11  9 8   7  6 5 4 3 2 1 0
//! NX  ignored      page                      soft  -  PS  D A - - U W P
//! ```

use super::memory::Memory;
use super::pool::{Pool, PoolEmpty};

/// Present.
pub(super) const PRESENT: u64 = 1 << 0;
/// Writable.
pub(super) const WRITABLE: u64 = 1 << 1;
/// Nested walks are user accesses: every entry has it.
pub(super) const USER: u64 = 1 << 2;
/// The entry maps a large page.
pub(super) const LARGE: u64 = 1 << 7;
/// Not executable.
pub(super) const NO_EXECUTE: u64 = 1 << 63;
/// Address of a table or page.
pub(super) const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;

/// Level of a root entry: 0 = 4 KiB entry … 4 = PML5 entry.
pub(super) const TOP_LEVEL: u8 = 4;
/// Highest level of an entry that can map a page: 1 GiB.
pub(super) const TOP_LEAF: u8 = 2;

const TABLE: u64 = PRESENT | WRITABLE | USER;
const ENTRIES: u64 = 512;

/// Bytes that an entry of `level` spans.
#[must_use]
pub(super) const fn span(level: u8) -> u64 {
    1 << (12 + 9 * level as u32)
}

/// A tree of nested page tables.
#[derive(Debug)]
pub(super) struct Npt {
    root: u64,
}

impl Npt {
    /// An empty tree.
    pub(super) fn new<M: Memory>(memory: &mut M, pool: &mut Pool) -> Result<Self, PoolEmpty> {
        Ok(Self { root: pool.take(memory)? })
    }

    /// Value for the VMCB's N_CR3.
    #[must_use]
    pub(super) const fn root(&self) -> u64 {
        self.root
    }

    /// Writes the leaf `entry` for `gpa` at `level`, making the tables above it. A
    /// tree or a smaller page that stood there is freed; a larger page is replaced
    /// by an empty table, since the tree is a cache that refills.
    pub(super) fn set<M: Memory>(
        &self,
        memory: &mut M,
        pool: &mut Pool,
        gpa: u64,
        level: u8,
        entry: u64,
    ) -> Result<(), PoolEmpty> {
        let mut table = self.root;
        for at in (level + 1..=TOP_LEVEL).rev() {
            let slot = slot(table, gpa, at);
            let found = memory.read_u64(slot);
            table = if is_table(found, at) {
                found & ADDRESS
            } else {
                let new = pool.take(memory)?;
                memory.write_u64(slot, new | TABLE);
                new
            };
        }
        replace(memory, pool, slot(table, gpa, level), level, entry);
        Ok(())
    }

    /// The entry that ends the walk of `gpa`, and its level.
    pub(super) fn find<M: Memory>(&self, memory: &M, gpa: u64) -> (u64, u8) {
        let mut table = self.root;
        for level in (1..=TOP_LEVEL).rev() {
            let entry = memory.read_u64(slot(table, gpa, level));
            if !is_table(entry, level) {
                return (entry, level);
            }
            table = entry & ADDRESS;
        }
        (memory.read_u64(slot(table, gpa, 0)), 0)
    }

    /// Clears the leaf of `gpa` if `leads_there` holds for its page and size in bytes.
    pub(super) fn clear_if<M: Memory>(
        &self,
        memory: &mut M,
        gpa: u64,
        leads_there: impl Fn(u64, u64) -> bool,
    ) {
        let (mut table, mut level) = (self.root, TOP_LEVEL);
        loop {
            let slot = slot(table, gpa, level);
            let entry = memory.read_u64(slot);
            if !is_table(entry, level) {
                if entry & PRESENT != 0 && leads_there(entry & ADDRESS, span(level)) {
                    memory.write_u64(slot, 0);
                }
                return;
            }
            (table, level) = (entry & ADDRESS, level - 1);
        }
    }

    /// Ends every mapping of `range` (start, end), and frees the tables that are in it whole.
    pub(super) fn clear<M: Memory>(&self, memory: &mut M, pool: &mut Pool, range: (u64, u64)) {
        clear(memory, pool, Table { at: self.root, level: TOP_LEVEL, base: 0 }, range);
    }

    /// Makes every page that touches `range` (start, end) what `rule` says, with the
    /// largest pages that fit; a larger leaf that is touched in part is split.
    pub(super) fn fill<M: Memory>(
        &self,
        memory: &mut M,
        pool: &mut Pool,
        range: (u64, u64),
        rule: &impl Rule,
    ) -> Result<(), PoolEmpty> {
        let whole_pages = (range.0 & !(span(0) - 1), range.1.next_multiple_of(span(0)));
        fill(memory, pool, Table { at: self.root, level: TOP_LEVEL, base: 0 }, whole_pages, rule)
    }

    /// Gives back every page of the tree.
    pub(super) fn free<M: Memory>(self, memory: &mut M, pool: &mut Pool) {
        free(memory, pool, self.root, TOP_LEVEL);
    }
}

/// How [`Npt::fill`] fills.
pub(super) trait Rule {
    /// The entry for a page at `address`; `large` says that it is above 4 KiB.
    fn leaf(&self, address: u64, large: bool) -> u64;
    /// The entry of the part at `address` when the leaf `whole` is split.
    fn part(&self, whole: u64, address: u64, large: bool) -> u64;
}

/// A table: its page, its level and the first address it maps.
#[derive(Clone, Copy)]
struct Table {
    at: u64,
    level: u8,
    base: u64,
}

const fn slot(table: u64, gpa: u64, level: u8) -> u64 {
    table + (gpa / span(level) % ENTRIES) * 8
}

const fn is_table(entry: u64, level: u8) -> bool {
    level > 0 && entry & PRESENT != 0 && entry & LARGE == 0
}

fn replace<M: Memory>(memory: &mut M, pool: &mut Pool, slot: u64, level: u8, entry: u64) {
    let old = memory.read_u64(slot);
    memory.write_u64(slot, entry);
    if is_table(old, level) {
        free(memory, pool, old & ADDRESS, level - 1);
    }
}

fn free<M: Memory>(memory: &mut M, pool: &mut Pool, table: u64, level: u8) {
    if level > 0 {
        for index in 0..ENTRIES {
            let entry = memory.read_u64(table + index * 8);
            if is_table(entry, level) {
                free(memory, pool, entry & ADDRESS, level - 1);
            }
        }
    }
    pool.give(memory, table);
}

fn clear<M: Memory>(memory: &mut M, pool: &mut Pool, table: Table, (from, to): (u64, u64)) {
    let Table { at, level, base } = table;
    let step = span(level);
    for index in from.saturating_sub(base) / step..ENTRIES {
        let address = base + index * step;
        if address >= to {
            break;
        }
        let slot = at + index * 8;
        let entry = memory.read_u64(slot);
        if is_table(entry, level) && (address < from || to < address + step) {
            let below = Table { at: entry & ADDRESS, level: level - 1, base: address };
            clear(memory, pool, below, (from, to));
        } else if entry != 0 {
            replace(memory, pool, slot, level, 0);
        }
    }
}

fn fill<M: Memory>(
    memory: &mut M,
    pool: &mut Pool,
    table: Table,
    (from, to): (u64, u64),
    rule: &impl Rule,
) -> Result<(), PoolEmpty> {
    let Table { at, level, base } = table;
    let step = span(level);
    let first = from.saturating_sub(base) / step;
    for index in first..ENTRIES {
        let address = base + index * step;
        if address >= to {
            break;
        }
        let slot = at + index * 8;
        if from <= address && address + step <= to && level <= TOP_LEAF {
            replace(memory, pool, slot, level, rule.leaf(address, level > 0));
            continue;
        }
        let entry = memory.read_u64(slot);
        let below = if is_table(entry, level) {
            entry & ADDRESS
        } else {
            split(memory, pool, slot, Table { at: entry, level, base: address }, rule)?
        };
        fill(memory, pool, Table { at: below, level: level - 1, base: address }, (from, to), rule)?;
    }
    Ok(())
}

/// Replaces the leaf in `slot` by a table of its parts; `whole.at` is the leaf.
fn split<M: Memory>(
    memory: &mut M,
    pool: &mut Pool,
    slot: u64,
    whole: Table,
    rule: &impl Rule,
) -> Result<u64, PoolEmpty> {
    let table = pool.take(memory)?;
    if whole.level <= TOP_LEAF {
        let level = whole.level - 1;
        for index in 0..ENTRIES {
            let part = rule.part(whole.at, whole.base + index * span(level), level > 0);
            memory.write_u64(table + index * 8, part);
        }
    }
    memory.write_u64(slot, table | TABLE);
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::super::memory::fake::Sparse;
    use super::*;

    fn fixture() -> (Sparse, Pool, Npt) {
        let mut memory = Sparse::default();
        let mut pool = Pool::new(0x10_0000, 0x20_0000);
        let npt = Npt::new(&mut memory, &mut pool).expect("a fresh pool");
        (memory, pool, npt)
    }

    #[test]
    fn a_shared_gpa_with_bit_51_is_found_where_it_was_put() {
        let (mut memory, mut pool, npt) = fixture();
        let gpa = 1 << 51 | 0xFEC0_0000;
        npt.set(&mut memory, &mut pool, gpa, 0, 0xFEC0_0000 | TABLE).expect("room");
        assert_eq!(npt.find(&memory, gpa | 0x123), (0xFEC0_0000 | TABLE, 0));
        assert_eq!(npt.find(&memory, 0xFEC0_0000), (0, 4));
        assert_eq!(npt.find(&memory, 1 << 51), (0, 2));
    }

    #[test]
    fn a_large_leaf_frees_the_table_it_replaces_and_the_tree_frees_all() {
        let (mut memory, mut pool, npt) = fixture();
        let all = pool.available() + 1;
        npt.set(&mut memory, &mut pool, 0x20_1000, 0, 0x5000 | TABLE).expect("room");
        let with_table = pool.available();
        npt.set(&mut memory, &mut pool, 0x20_0000, 1, 0x40_0000 | TABLE | LARGE).expect("room");
        assert_eq!(pool.available(), with_table + 1);
        assert_eq!(npt.find(&memory, 0x20_1000), (0x40_0000 | TABLE | LARGE, 1));
        npt.free(&mut memory, &mut pool);
        assert_eq!(pool.available(), all);
    }

    #[test]
    fn a_range_is_cleared_with_its_tables_and_nothing_else() {
        let (mut memory, mut pool, npt) = fixture();
        for bit in [47, 51] {
            let shared = 1 << bit;
            npt.set(&mut memory, &mut pool, 0x20_1000, 0, 0x5000 | TABLE).expect("room");
            let before = pool.available();
            for gpa in [shared, shared | 0x20_1000, shared | (shared - 0x1000)] {
                npt.set(&mut memory, &mut pool, gpa, 0, 0x9000 | TABLE).expect("room");
            }
            npt.clear(&mut memory, &mut pool, (shared, 2 * shared));
            assert!(before - pool.available() <= 1, "at most a table that holds both halves");
            assert_eq!(npt.find(&memory, 0x20_1000).0, 0x5000 | TABLE);
            for gpa in [shared, shared | 0x20_1000, shared | (shared - 0x1000)] {
                assert_eq!(npt.find(&memory, gpa).0, 0);
            }
        }
    }

    #[test]
    fn an_empty_pool_is_an_error_not_a_panic() {
        let mut memory = Sparse::default();
        let mut pool = Pool::new(0x1000, 0x4000);
        let npt = Npt::new(&mut memory, &mut pool).expect("three pages");
        assert_eq!(npt.set(&mut memory, &mut pool, 0, 0, 1), Err(PoolEmpty));
        npt.free(&mut memory, &mut pool);
        assert_eq!(pool.available(), 3);
    }
}
