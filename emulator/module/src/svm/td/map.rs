//! Nested page tables of the TDs: a cache of `Module::translate`.
//!
//! A tree belongs to the TD that a TDR page names. It holds nothing that cannot be
//! computed again, so it is dropped whole when the TD's mappings shrink (the
//! leaves call `flush_td`) or when the pool has no page left.
//!
//! A page that leaves the VMM may still stand in the shared half of a tree, since
//! the VMM writes the shared EPT without telling the module. So the shared leaves
//! are listed, and those that lead to such a page are cleared; where there are more of them
//! than the list holds, the shared half is dropped. INVEPT drops it too: until then a
//! TD may use what the shared EPT no longer says, as on a CPU.

use super::super::memory::Memory;
use super::super::npt::{self, Npt};
use super::super::pool::{Pool, PoolEmpty};

/// TDs whose trees are kept at a time.
pub(super) const SLOTS: usize = 8;

/// A page to map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// Any address in the page, as the TD sees it, with the shared bit.
    pub gpa: u64,
    /// The page's first address in host-physical memory.
    pub hpa: u64,
    /// 0 = 4 KiB, 1 = 2 MiB, 2 = 1 GiB.
    pub level: u8,
    /// The TD may write.
    pub writable: bool,
    /// The TD may fetch.
    pub executable: bool,
    /// The address has the shared bit.
    pub shared: bool,
}

/// Shared leaves that a tree lists.
const SHARED_LEAVES: usize = 48;

#[derive(Debug)]
struct Slot {
    tdr: u64,
    npt: Npt,
    shared: [u64; SHARED_LEAVES],
    /// Shared leaves made; the list holds them only up to its length.
    shared_count: usize,
    /// The SHARED bit, once there was such a leaf.
    shared_bit: Option<u64>,
}

impl Slot {
    fn note_shared(&mut self, gpa: u64) {
        let listed = self.shared_count.min(SHARED_LEAVES);
        if !self.shared[..listed].contains(&gpa) {
            if let Some(place) = self.shared.get_mut(self.shared_count) {
                *place = gpa;
            }
            self.shared_count += 1;
        }
        // The SHARED bit is the highest that a translated address has.
        self.shared_bit = gpa.checked_ilog2().map(|bit| 1 << bit);
    }

    fn drop_shared<M: Memory>(&mut self, memory: &mut M, pool: &mut Pool) {
        if let Some(bit) = self.shared_bit {
            self.npt.clear(memory, pool, (bit, 2 * bit));
        }
        self.shared_count = 0;
    }
}

/// The trees.
#[derive(Debug)]
pub(crate) struct TdMaps {
    slots: [Option<Slot>; SLOTS],
    next_victim: usize,
}

impl TdMaps {
    /// No trees.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self { slots: [const { None }; SLOTS], next_victim: 0 }
    }

    /// Whether the TD has a tree.
    #[must_use]
    pub(crate) fn has(&self, tdr: u64) -> bool {
        self.slots.iter().flatten().any(|slot| slot.tdr == tdr)
    }

    /// The root of the TD's tree and a small number that names the tree while it
    /// lives; makes an empty tree if there is none.
    pub(crate) fn root<M: Memory>(
        &mut self,
        memory: &mut M,
        pool: &mut Pool,
        tdr: u64,
    ) -> Result<(u64, u32), PoolEmpty> {
        let index = self.slot(memory, pool, tdr)?;
        let root = self.slots[index].as_ref().ok_or(PoolEmpty)?.npt.root();
        Ok((root, index as u32))
    }

    /// Maps a page of the TD. If the pool is empty, all trees are dropped first.
    pub(crate) fn map<M: Memory>(
        &mut self,
        memory: &mut M,
        pool: &mut Pool,
        tdr: u64,
        page: Page,
    ) -> Result<(), PoolEmpty> {
        if pool.available() < u64::from(npt::TOP_LEVEL) + 1 {
            self.drop_all(memory, pool);
        }
        let index = self.slot(memory, pool, tdr)?;
        let slot = self.slots[index].as_mut().ok_or(PoolEmpty)?;
        let aligned = page.gpa & !(npt::span(page.level) - 1);
        if page.shared {
            slot.note_shared(aligned);
        }
        slot.npt.set(memory, pool, aligned, page.level, entry(page))
    }

    /// Ends every shared mapping that leads into `[hpa, hpa + len)`.
    pub(crate) fn forget_shared<M: Memory>(
        &mut self,
        memory: &mut M,
        pool: &mut Pool,
        hpa: u64,
        len: u64,
    ) {
        for slot in self.slots.iter_mut().flatten() {
            if slot.shared_count > SHARED_LEAVES {
                slot.drop_shared(memory, pool);
            }
            for gpa in &slot.shared[..slot.shared_count] {
                slot.npt.clear_if(memory, *gpa, |page, bytes| {
                    page < hpa.saturating_add(len) && hpa < page + bytes
                });
            }
        }
    }

    /// The TDRs of the TDs that have trees.
    #[must_use]
    pub(crate) fn tdrs(&self) -> [Option<u64>; SLOTS] {
        core::array::from_fn(|index| self.slots[index].as_ref().map(|slot| slot.tdr))
    }

    /// Ends every shared mapping of the TD.
    pub(crate) fn drop_shared<M: Memory>(&mut self, memory: &mut M, pool: &mut Pool, tdr: u64) {
        for slot in self.slots.iter_mut().flatten().filter(|slot| slot.tdr == tdr) {
            slot.drop_shared(memory, pool);
        }
    }

    /// Where the tree maps `gpa` to, if it does.
    pub(crate) fn find<M: Memory>(&self, memory: &M, tdr: u64, gpa: u64) -> Option<u64> {
        let slot = self.slots.iter().flatten().find(|slot| slot.tdr == tdr)?;
        let (entry, level) = slot.npt.find(memory, gpa);
        let offset = gpa & (npt::span(level) - 1);
        (entry & npt::PRESENT != 0).then_some(entry & npt::ADDRESS | offset)
    }

    /// Drops the TD's tree.
    pub(crate) fn drop_td<M: Memory>(&mut self, memory: &mut M, pool: &mut Pool, tdr: u64) {
        for slot in &mut self.slots {
            if let Some(dropped) = slot.take_if(|slot| slot.tdr == tdr) {
                dropped.npt.free(memory, pool);
            }
        }
    }

    /// Drops every tree.
    pub(crate) fn drop_all<M: Memory>(&mut self, memory: &mut M, pool: &mut Pool) {
        for slot in &mut self.slots {
            if let Some(dropped) = slot.take() {
                dropped.npt.free(memory, pool);
            }
        }
    }

    fn slot<M: Memory>(
        &mut self,
        memory: &mut M,
        pool: &mut Pool,
        tdr: u64,
    ) -> Result<usize, PoolEmpty> {
        let belongs = |slot: &Option<Slot>| slot.as_ref().is_some_and(|slot| slot.tdr == tdr);
        if let Some(index) = self.slots.iter().position(belongs) {
            return Ok(index);
        }
        let index = self.slots.iter().position(Option::is_none).unwrap_or_else(|| {
            self.next_victim = (self.next_victim + 1) % SLOTS;
            self.next_victim
        });
        if let Some(victim) = self.slots[index].take() {
            victim.npt.free(memory, pool);
        }
        let npt = Npt::new(memory, pool)?;
        self.slots[index] =
            Some(Slot { tdr, npt, shared: [0; SHARED_LEAVES], shared_count: 0, shared_bit: None });
        Ok(index)
    }
}

impl Default for TdMaps {
    fn default() -> Self {
        Self::new()
    }
}

const fn entry(page: Page) -> u64 {
    let mut entry = page.hpa & npt::ADDRESS & !(npt::span(page.level) - 1);
    entry |= npt::PRESENT | npt::USER;
    if page.level > 0 {
        entry |= npt::LARGE;
    }
    if page.writable {
        entry |= npt::WRITABLE;
    }
    if !page.executable {
        entry |= npt::NO_EXECUTE;
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::super::super::memory::fake::Sparse;
    use super::*;

    const PAGE: Page = Page {
        gpa: 0x1234,
        hpa: 0x9000,
        level: 0,
        writable: true,
        executable: false,
        shared: false,
    };

    #[test]
    fn a_page_is_mapped_with_its_rights() {
        assert_eq!(entry(PAGE), 0x9000 | 7 | npt::NO_EXECUTE);
        let large = Page { hpa: 0x61_2345, level: 1, writable: false, executable: true, ..PAGE };
        assert_eq!(entry(large), 0x60_0000 | 0x85);
    }

    #[test]
    fn each_td_has_its_own_tree_until_it_is_flushed() {
        let (mut memory, mut pool) = (Sparse::default(), Pool::new(0x10_0000, 0x20_0000));
        let all = pool.available();
        let mut maps = TdMaps::new();
        maps.map(&mut memory, &mut pool, 1, PAGE).expect("room");
        let (one, _) = maps.root(&mut memory, &mut pool, 1).expect("room");
        let (two, _) = maps.root(&mut memory, &mut pool, 2).expect("room");
        assert_ne!(one, two);
        maps.drop_td(&mut memory, &mut pool, 1);
        maps.drop_td(&mut memory, &mut pool, 2);
        assert_eq!(pool.available(), all);
    }

    #[test]
    fn a_page_that_leaves_the_vmm_leaves_the_shared_half_alone() {
        let (mut memory, mut pool) = (Sparse::default(), Pool::new(0x10_0000, 0x40_0000));
        let mut maps = TdMaps::new();
        let shared = |n: u64| Page { gpa: 1 << 47 | n << 12, hpa: n << 12, shared: true, ..PAGE };
        maps.map(&mut memory, &mut pool, 1, PAGE).expect("room");
        for n in [5, 9, 10, 9] {
            maps.map(&mut memory, &mut pool, 1, shared(n)).expect("room");
        }
        maps.forget_shared(&mut memory, &mut pool, 0x9000, 0x1000);
        let find = |maps: &TdMaps, memory: &Sparse, gpa| maps.find(memory, 1, gpa);
        assert_eq!(find(&maps, &memory, 0x1FFF), Some(0x9FFF));
        assert_eq!(find(&maps, &memory, 1 << 47 | 0x9000), None);
        assert_eq!(find(&maps, &memory, 1 << 47 | 0xA008), Some(0xA008));
        for n in 0..100 {
            maps.map(&mut memory, &mut pool, 1, shared(n)).expect("room");
        }
        maps.forget_shared(&mut memory, &mut pool, 1 << 40, 0x1000);
        for n in 0..100 {
            assert_eq!(find(&maps, &memory, 1 << 47 | n << 12), None, "the list was overfull");
        }
        assert_eq!(find(&maps, &memory, 0x1FFF), Some(0x9FFF));
    }

    #[test]
    fn a_shared_mapping_lives_until_it_is_dropped() {
        for bit in [47, 51] {
            let (mut memory, mut pool) = (Sparse::default(), Pool::new(0x10_0000, 0x40_0000));
            let mut maps = TdMaps::new();
            let shared = Page { gpa: 1 << bit | 0x5000, shared: true, ..PAGE };
            for tdr in [1, 2] {
                maps.map(&mut memory, &mut pool, tdr, PAGE).expect("room");
                maps.map(&mut memory, &mut pool, tdr, shared).expect("room");
            }
            assert_eq!(maps.tdrs().into_iter().flatten().count(), 2);
            maps.drop_shared(&mut memory, &mut pool, 1);
            let find = |tdr, gpa| maps.find(&memory, tdr, gpa);
            assert_eq!((find(1, shared.gpa), find(2, shared.gpa)), (None, Some(0x9000)));
            assert_eq!((find(1, 0x1000), find(2, 0x1000)), (Some(0x9000), Some(0x9000)));
            maps.drop_shared(&mut memory, &mut pool, 2);
            assert_eq!(maps.find(&memory, 2, shared.gpa), None);
        }
    }

    #[test]
    fn more_tds_than_slots_and_more_pages_than_the_pool_only_cost_refills() {
        let (mut memory, mut pool) =
            (Sparse::default(), Pool::new(0x10_0000, 0x10_0000 + 20 * 4096));
        let mut maps = TdMaps::new();
        for n in 0..1000u64 {
            let page = Page { gpa: n << 21, ..PAGE };
            maps.map(&mut memory, &mut pool, n % 11, page).expect("the pool refills");
        }
    }
}
