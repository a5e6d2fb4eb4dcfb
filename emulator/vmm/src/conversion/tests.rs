//! Conversions over a module that keeps books: what it has, what the pool has, what is lost.

use std::vec;
use std::vec::Vec;

use abi::GpaWidth;
use proptest::prelude::*;

use super::*;
use crate::fakes::{FakeCpu, FakeDevices, FakeMemory, FakeModule, pool};
use crate::guest_memory::GuestMemory;
use crate::pool::Pool;
use crate::seam::Memory as _;
use crate::shared_ept::Entry;

const LARGE_PAGE: PageLevel = PageLevel::Size2M;
const SMALL_PAGE: PageLevel = PageLevel::Size4K;

/// A TD whose memory starts with a 2 MiB page, if that is asked for, else with 4 KiB pages.
struct Bench {
    module: FakeModule,
    memory: FakeMemory,
    cpu: FakeCpu,
    pool: Pool,
    shared: SharedEpt,
    td: Td,
}

impl Bench {
    fn new(pages: &[(u64, PageLevel)]) -> Self {
        let (mut memory, mut pool) = (FakeMemory::new(), pool());
        let shared = SharedEpt::new(&mut memory, &mut pool, GpaWidth::Bits48).unwrap();
        let td = Td {
            tdr: Hpa::new(0x1000),
            key_bits: 33 << 46,
            tdvpr: None,
            width: GpaWidth::Bits48,
            guest: GuestMemory::new(16 << 20, 0x1_0000),
            page_level: LARGE_PAGE,
            dirty_pages: false,
            is_curious: false,
            conversion: Conversion::new(MapGpaMode::Honest),
        };
        let (module, cpu) = (FakeModule::new(), FakeCpu::default());
        let mut bench = Self { module, memory, cpu, pool, shared, td };
        for (gpa, level) in pages {
            bench.with(|vmm, td, _| {
                let gpa = PrivateGpa::new(*gpa);
                let given = vmm.give(*level, "a test", |vmm, page| {
                    crate::fault::with_sept(vmm, td, gpa, "AUG", |vmm| {
                        vmm.module.mem_page_aug(gpa, *level, td.tdr, page)
                    })
                });
                given.unwrap();
            });
        }
        bench.module.calls.clear();
        bench
    }

    fn with<T>(&mut self, work: impl FnOnce(&mut Vmm<'_>, &mut Td, &SharedEpt) -> T) -> T {
        let mut vmm = Vmm {
            module: &mut self.module,
            memory: &mut self.memory,
            devices: &mut FakeDevices::default(),
            cpu: &mut self.cpu,
            pool: self.pool.clone(),
        };
        let result = work(&mut vmm, &mut self.td, &self.shared);
        self.pool = vmm.pool;
        result
    }

    fn share(&mut self, start: u64, end: u64) -> Result<(), Stop> {
        self.with(|vmm, td, shared| to_shared(vmm, td, shared, Range::new(start, end)))
    }

    fn unshare(&mut self, start: u64, end: u64) {
        self.with(|vmm, td, shared| to_private(vmm, td, shared, Range::new(start, end))).unwrap();
    }

    fn entry(&self, address: u64) -> Entry {
        let gpa = SharedGpa::try_new(address, GpaWidth::Bits48).unwrap();
        self.shared.entry(&self.memory, gpa)
    }

    fn touch(&mut self, address: u64) -> Hpa {
        let gpa = SharedGpa::try_new(address, GpaWidth::Bits48).unwrap();
        self.with(|vmm, _, shared| shared.map(vmm.memory, &mut vmm.pool, gpa)).unwrap()
    }

    /// Every page is either with the module or not, and the pool knows how many are.
    fn assert_books_agree(&self) {
        let owned: u64 = self.module.owned.values().map(|bytes| bytes / PAGE_SIZE).sum();
        assert_eq!(self.pool.given(), owned);
    }
}

#[test]
fn a_small_page_goes_as_by_kvm() {
    let mut bench = Bench::new(&[(0x5000, SMALL_PAGE), (0x6000, SMALL_PAGE)]);
    bench.share(0x5000, 0x6000).unwrap();
    let leaves = ["MEM.RANGE.BLOCK", "MEM.TRACK", "MEM.PAGE.REMOVE", "PHYMEM.PAGE.WBINVD"];
    assert_eq!(bench.module.calls, leaves);
    assert_eq!(bench.module.pages.keys().copied().collect::<Vec<_>>(), [0x6000]);
    assert_eq!((bench.entry(0x5000), bench.entry(0x6000)), (Entry::Shared, Entry::Private));
    bench.assert_books_agree();
}

#[test]
fn memory_that_was_never_there_costs_one_leaf_for_each_missing_table() {
    let mut bench = Bench::new(&[]);
    bench.share(0, 16 << 20).unwrap();
    assert_eq!(bench.module.calls, ["MEM.RANGE.BLOCK"], "not even the root's entry is there");
    assert_eq!(bench.entry((16 << 20) - PAGE_SIZE), Entry::Shared);
}

#[test]
fn a_large_page_goes_whole_or_in_parts() {
    let mut bench = Bench::new(&[(0x20_0000, LARGE_PAGE)]);
    bench.share(0x20_0000, 0x40_0000).unwrap();
    assert_eq!((bench.module.pages.len(), bench.pool.given()), (0, 2), "the tables stay");
    let flushes = bench.module.calls.iter().filter(|call| **call == "PHYMEM.PAGE.WBINVD");
    assert_eq!(flushes.count(), 512);
    let mut bench = Bench::new(&[(0x20_0000, LARGE_PAGE)]);
    bench.share(0x20_1000, 0x20_3000).unwrap();
    assert!(bench.module.calls.contains(&"MEM.PAGE.DEMOTE"));
    assert_eq!(bench.module.pages.len(), 510);
    assert!(!bench.module.pages.contains_key(&0x20_2000));
    assert!(bench.module.blocked.is_empty());
    bench.assert_books_agree();
}

#[test]
fn a_shared_page_comes_back_to_the_pool_behind_the_flush() {
    let mut bench = Bench::new(&[]);
    bench.share(0x5000, 0x7000).unwrap();
    bench.unshare(0x6000, 0x7000);
    assert_eq!(bench.cpu.invepts, 0, "nothing was mapped");
    let page = bench.touch(0x5000);
    bench.memory.write_u64(page, 7);
    bench.unshare(0x5000, 0x6000);
    assert_eq!((bench.cpu.invepts, bench.memory.read_u64(page)), (1, 0));
    assert_eq!(bench.entry(0x5000), Entry::Private);
    assert_eq!(bench.pool.own(&mut bench.memory), Some(page));
}

#[test]
fn without_a_flush_the_page_stays_where_a_stale_mapping_leads() {
    let mut bench = Bench::new(&[]);
    bench.td.conversion.mode = MapGpaMode::NoFlush;
    bench.share(0x5000, 0x6000).unwrap();
    let page = bench.touch(0x5000);
    bench.memory.write_u64(page, 7);
    bench.unshare(0x5000, 0x6000);
    assert_eq!((bench.cpu.invepts, bench.memory.read_u64(page)), (0, 7));
    assert_ne!(bench.pool.own(&mut bench.memory), Some(page));
}

/// Fails one leaf at the second page of three; what is said, and then done again.
fn busy_at(leaf: &'static str, status: Status, level: PageLevel) {
    let mut bench = match level {
        PageLevel::Size4K => Bench::new(&[(0x5000, level), (0x6000, level), (0x7000, level)]),
        _ => Bench::new(&[(0, level)]),
    };
    if level == SMALL_PAGE {
        bench.share(0x5000, 0x6000).unwrap();
    }
    bench.module.refusals.push((leaf, status));
    let stopped = bench.share(0x6000, 0x8000);
    assert!(matches!(stopped, Err(Stop::Busy(0x6000))), "{leaf}: {stopped:?}");
    assert_eq!(bench.entry(0x6000), Entry::Private);
    bench.assert_books_agree();
    // A touch of the page finds it as it was.
    let gpa = PrivateGpa::new(0x6000);
    let refused = bench.with(|vmm, td, _| {
        let page = vmm.pool.own(vmm.memory).unwrap();
        let refused = vmm.module.mem_page_aug(gpa, SMALL_PAGE, td.tdr, page).unwrap_err();
        vmm.pool.disown(vmm.memory, page);
        refused
    });
    if is_blocked(found(&refused)) {
        let unblocked = bench.with(|vmm, td, _| unblock(vmm, td, gpa, found(&refused)));
        assert_eq!(unblocked, Ok(true), "{leaf}");
    }
    assert!(bench.module.blocked.is_empty(), "{leaf}");
    // And the conversion can go on.
    bench.share(0x6000, 0x8000).unwrap();
    assert_eq!((bench.entry(0x6000), bench.entry(0x7000)), (Entry::Shared, Entry::Shared));
    assert!(!bench.module.pages.contains_key(&0x6000));
    bench.assert_books_agree();
}

#[test]
fn a_busy_module_stops_the_work_at_a_page_that_can_be_used_or_converted_then() {
    let busy = Status::OPERAND_BUSY.with_detail(1);
    for (leaf, status) in [
        ("MEM.RANGE.BLOCK", busy),
        ("MEM.TRACK", Status::PREVIOUS_TLB_EPOCH_BUSY),
        ("MEM.PAGE.REMOVE", busy),
    ] {
        busy_at(leaf, status, SMALL_PAGE);
    }
    for (leaf, status) in [
        ("MEM.TRACK", Status::PREVIOUS_TLB_EPOCH_BUSY),
        ("MEM.PAGE.DEMOTE", Status::INTERRUPTED_RESTARTABLE),
        ("MEM.PAGE.DEMOTE", busy),
    ] {
        busy_at(leaf, status, LARGE_PAGE);
    }
}

#[test]
fn what_is_not_busy_is_the_end() {
    for leaf in ["MEM.RANGE.BLOCK", "MEM.TRACK", "MEM.PAGE.REMOVE", "PHYMEM.PAGE.WBINVD"] {
        let mut bench = Bench::new(&[(0x5000, SMALL_PAGE)]);
        bench.module.refusals.push((leaf, Status::OPERAND_INVALID.with_detail(1)));
        let stopped = bench.share(0x5000, 0x6000);
        assert!(matches!(stopped, Err(Stop::Failed(Failure::Module { .. }))), "{leaf}");
    }
}

fn ranges() -> impl Strategy<Value = Vec<(bool, u64, u64)>> {
    prop::collection::vec((any::<bool>(), 0..1024_u64, 1..700_u64), 1..12)
}

proptest! {
    #[test]
    fn pages_converted_back_and_forth_are_never_lost(
        ranges in ranges(),
        touched in prop::collection::vec(0..1024_u64, 0..20),
    ) {
        let pages: Vec<_> = vec![(0, LARGE_PAGE), (0x20_0000, SMALL_PAGE), (0x20_7000, SMALL_PAGE)];
        let mut bench = Bench::new(&pages);
        for (share, from, count) in ranges {
            let (start, end) = (from << 12, (from + count).min(1024) << 12);
            if share {
                bench.share(start, end).unwrap();
                for page in touched.iter().filter(|page| (start..end).contains(&(**page << 12))) {
                    bench.touch(page << 12);
                }
            } else {
                bench.unshare(start, end);
            }
            bench.assert_books_agree();
            for page in bench.module.pages.keys() {
                prop_assert_eq!(bench.entry(*page), Entry::Private);
            }
        }
        prop_assert!(bench.module.blocked.is_empty());
    }
}
