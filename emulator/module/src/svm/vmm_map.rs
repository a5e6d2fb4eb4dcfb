//! The VMM's view of physical memory: everything at its own address, except what
//! belongs to the module or to a TD.
//!
//! A leaf is one of three things:
//!
//! | entry | meaning |
//! |---|---|
//! | present | identity |
//! | 0 | identity, not filled in yet: the first access fills 1 GiB |
//! | [`HIDDEN`] | not the VMM's; an access is a machine check |

use super::memory::Memory;
use super::npt::{self, Npt, Rule};
use super::pool::{Pool, PoolEmpty};

/// A leaf that the VMM may not touch (a software bit; not present).
const HIDDEN: u64 = 1 << 9;
/// Tables above the 1 GiB entries that the VMM's own touches may cost. Its devices need
/// a few; an address space of 52 bits needs more than the pool has.
pub(super) const FAR_TABLES: u64 = 64;
const IDENTITY: u64 = npt::PRESENT | npt::WRITABLE | npt::USER;

/// What an address is to the VMM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// Mapped, or mapped now: run on.
    Own,
    /// Memory of the module or of a TD.
    Hidden,
    /// Neither: there are no tables for so many places that far apart.
    TooFar,
}

/// The VMM's nested page tables.
#[derive(Debug)]
pub(super) struct VmmMap {
    npt: Npt,
    /// Of [`FAR_TABLES`], those that are left.
    far_tables: u64,
}

impl VmmMap {
    /// A map in which nothing is hidden.
    pub(super) fn new<M: Memory>(memory: &mut M, pool: &mut Pool) -> Result<Self, PoolEmpty> {
        Ok(Self { npt: Npt::new(memory, pool)?, far_tables: FAR_TABLES })
    }

    /// Value for the VMCB's N_CR3.
    #[must_use]
    pub(super) const fn root(&self) -> u64 {
        self.npt.root()
    }

    /// Takes `[base, base + len)` away.
    pub(super) fn hide<M: Memory>(
        &self,
        memory: &mut M,
        pool: &mut Pool,
        base: u64,
        len: u64,
    ) -> Result<(), PoolEmpty> {
        self.npt.fill(memory, pool, (base, base.saturating_add(len)), &Hide)
    }

    /// Gives `[base, base + len)` back.
    pub(super) fn show<M: Memory>(
        &self,
        memory: &mut M,
        pool: &mut Pool,
        base: u64,
        len: u64,
    ) -> Result<(), PoolEmpty> {
        self.npt.fill(memory, pool, (base, base.saturating_add(len)), &Show)
    }

    /// A nested page fault at `gpa`: maps it, if it is the VMM's.
    pub(super) fn touch<M: Memory>(
        &mut self,
        memory: &mut M,
        pool: &mut Pool,
        gpa: u64,
    ) -> Result<View, PoolEmpty> {
        match self.npt.find(memory, gpa) {
            (HIDDEN, _) => Ok(View::Hidden),
            (entry, _) if entry & npt::PRESENT != 0 => Ok(View::Own),
            (_, level) => {
                let new_tables = u64::from(level.saturating_sub(npt::TOP_LEAF));
                let Some(left) = self.far_tables.checked_sub(new_tables) else {
                    return Ok(View::TooFar);
                };
                self.far_tables = left;
                let level = level.min(npt::TOP_LEAF);
                let page = gpa & npt::ADDRESS & !(npt::span(level) - 1);
                self.npt.set(memory, pool, page, level, Show.leaf(page, level > 0))?;
                Ok(View::Own)
            }
        }
    }
}

struct Hide;

impl Rule for Hide {
    fn leaf(&self, _: u64, _: bool) -> u64 {
        HIDDEN
    }

    fn part(&self, whole: u64, address: u64, large: bool) -> u64 {
        Show.part(whole, address, large)
    }
}

struct Show;

impl Rule for Show {
    fn leaf(&self, address: u64, large: bool) -> u64 {
        address | IDENTITY | if large { npt::LARGE } else { 0 }
    }

    fn part(&self, whole: u64, address: u64, large: bool) -> u64 {
        if whole == HIDDEN { HIDDEN } else { self.leaf(address, large) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::fake::Sparse;
    use super::*;
    use proptest::prelude::*;

    const GIB: u64 = 1 << 30;
    const MIB2: u64 = 2 << 20;

    fn fixture() -> (Sparse, Pool, VmmMap) {
        let mut memory = Sparse::default();
        let mut pool = Pool::new(0x10_0000, 0x200_0000);
        let map = VmmMap::new(&mut memory, &mut pool).expect("a fresh pool");
        (memory, pool, map)
    }

    #[test]
    fn hiding_one_page_leaves_its_neighbours_and_showing_it_brings_it_back() {
        let (mut memory, mut pool, mut map) = fixture();
        let page = GIB + 5 * MIB2 + 0x3000;
        map.hide(&mut memory, &mut pool, page, 4096).expect("room");
        let mut view = |gpa| map.touch(&mut memory, &mut pool, gpa).expect("room");
        assert_eq!(view(page + 0xFFF), View::Hidden);
        assert_eq!(view(page - 1), View::Own);
        assert_eq!(view(page + 4096), View::Own);
        assert_eq!(view(0xFEE0_0000), View::Own);
        assert_eq!(view(1 << 51), View::Own);
        assert_eq!(map.npt.find(&memory, page - 4096), ((page - 4096) | IDENTITY, 0));
        assert_eq!(map.npt.find(&memory, GIB).1, 1);
        map.show(&mut memory, &mut pool, page, 4096).expect("room");
        assert_eq!(map.npt.find(&memory, page), (page | IDENTITY, 0));
    }

    #[test]
    fn a_hidden_range_of_whole_large_pages_costs_no_small_tables() {
        let (mut memory, mut pool, mut map) = fixture();
        map.hide(&mut memory, &mut pool, GIB, GIB).expect("room");
        let before = pool.available();
        map.show(&mut memory, &mut pool, GIB + MIB2, MIB2).expect("room");
        assert_eq!(pool.available(), before - 1);
        assert_eq!(map.touch(&mut memory, &mut pool, GIB + MIB2), Ok(View::Own));
        assert_eq!(map.touch(&mut memory, &mut pool, GIB), Ok(View::Hidden));
    }

    #[test]
    fn addresses_far_apart_do_not_eat_the_tables_that_hiding_needs() {
        let (mut memory, mut pool, mut map) = fixture();
        let before = pool.available();
        for gpa in (0..1 << 52).step_by(1 << 39) {
            assert!(map.touch(&mut memory, &mut pool, gpa).is_ok());
        }
        assert!(pool.available() >= before - FAR_TABLES);
        map.hide(&mut memory, &mut pool, GIB, 4096).expect("room");
        assert_eq!(map.touch(&mut memory, &mut pool, GIB), Ok(View::Hidden));
        assert_eq!(map.touch(&mut memory, &mut pool, GIB + 4096), Ok(View::Own));
        assert_eq!(map.touch(&mut memory, &mut pool, (1 << 52) - 1), Ok(View::TooFar));
    }

    proptest! {
        #[test]
        fn the_map_hides_exactly_what_was_hidden_last(
            ops in prop::collection::vec((any::<bool>(), 0u64..3000, 1u64..1100), 1..20),
            touched in prop::collection::vec(0u64..4200, 20),
        ) {
            let (mut memory, mut pool, mut map) = fixture();
            let mut hidden = std::vec![false; 4200];
            for (hide, page, count) in ops {
                let (base, len) = (GIB - 0x100_0000 + page * 4096, count * 4096);
                let done = if hide {
                    map.hide(&mut memory, &mut pool, base, len)
                } else {
                    map.show(&mut memory, &mut pool, base, len)
                };
                prop_assert_eq!(done, Ok(()));
                hidden[page as usize..(page + count) as usize].fill(hide);
            }
            for page in touched {
                let gpa = GIB - 0x100_0000 + page * 4096 + 0x7F;
                let expected = if hidden[page as usize] { View::Hidden } else { View::Own };
                prop_assert_eq!(map.touch(&mut memory, &mut pool, gpa), Ok(expected));
                if expected == View::Own {
                    let (entry, level) = map.npt.find(&memory, gpa);
                    prop_assert_eq!(entry & npt::ADDRESS, gpa & !(npt::span(level) - 1));
                }
            }
        }
    }
}
