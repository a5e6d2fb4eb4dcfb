use std::collections::BTreeMap;
use std::vec::Vec;

use abi::{PAGE_SIZE, PageLevel, PrivateGpa, Status};
use bootloader_api::info::MemoryRegionKind;
use proptest::prelude::*;

use super::super::areas::UNACCEPTED;
use super::*;

const MIB: u64 = 1 << 20;
const PAGE: usize = PAGE_SIZE as usize;
const USABLE: MemoryRegionKind = MemoryRegionKind::Usable;
const BOOT: MemoryRegionKind = MemoryRegionKind::Bootloader;

/// Guest-physical memory: what is not accepted can not be touched, as in a trust domain.
struct Machine {
    base: *mut u8,
    bytes: usize,
    accepted: Vec<bool>,
    calls: u64,
}

impl Machine {
    /// 2 MiB aligned, so that addresses and offsets agree on alignment.
    fn new(regions: &[MemoryRegion]) -> Self {
        let end = regions.last().unwrap().end as usize;
        let bytes = end + UNIT as usize;
        // SAFETY: a fresh mapping.
        let raw = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes + UNIT as usize,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        assert_ne!(raw, libc::MAP_FAILED);
        let base = raw.cast::<u8>();
        let base = base.wrapping_add(base.align_offset(UNIT as usize));
        let _exposed = base.expose_provenance();
        let mut machine =
            Self { base, bytes, accepted: std::vec![false; end.div_ceil(PAGE)], calls: 0 };
        for region in regions.iter().filter(|region| region.kind == USABLE) {
            machine.give(region.start, region.end);
        }
        machine
    }

    fn give(&mut self, start: u64, end: u64) {
        let (start, bytes) = (start as usize, (end - start) as usize);
        // SAFETY: inside the mapping.
        let result = unsafe {
            libc::mprotect(self.base.add(start).cast(), bytes, libc::PROT_READ | libc::PROT_WRITE)
        };
        assert_eq!(result, 0);
        for page in start / PAGE..(start + bytes) / PAGE {
            assert!(!self.accepted[page], "page {page:#x} is accepted twice");
            self.accepted[page] = true;
        }
    }

    fn offset(&self) -> u64 {
        self.base.addr() as u64
    }

    fn accepted_bytes(&self) -> u64 {
        self.accepted.iter().filter(|page| **page).count() as u64 * PAGE_SIZE
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // SAFETY: the test's end, nobody uses the mapping any more.
        unsafe { libc::munmap(self.base.cast(), self.bytes) };
    }
}

impl Accept for Machine {
    fn mem_page_accept(&mut self, gpa: PrivateGpa, level: PageLevel) -> Status {
        self.calls += 1;
        self.give(gpa.bits(), gpa.bits() + level.bytes());
        Status::SUCCESS
    }
}

fn regions(list: &[(u64, u64, MemoryRegionKind)]) -> &'static [MemoryRegion] {
    Vec::leak(list.iter().map(|&(start, end, kind)| MemoryRegion { start, end, kind }).collect())
}

fn try_store(regions: &'static [MemoryRegion]) -> (Result<Store, NoRoom>, Machine) {
    let machine = Machine::new(regions);
    let areas = Areas::of(regions).unwrap();
    let mut store = Store::EMPTY;
    // SAFETY: the machine has all of this memory; the store goes before it does.
    let done = unsafe { store.init(&areas, regions, GpaWidth::Bits48, machine.offset()) };
    (done.map(|()| store), machine)
}

fn store(list: &[(u64, u64, MemoryRegionKind)]) -> (Store, Machine) {
    let (store, machine) = try_store(regions(list));
    (store.unwrap(), machine)
}

/// As boot leaves 12 MiB when it accepts for itself alone.
const LAZY: [(u64, u64, MemoryRegionKind); 6] = [
    (0, MIB, USABLE),
    (MIB, MIB + 0x8_0000, BOOT),
    (MIB + 0x8_0000, 2 * MIB, USABLE),
    (2 * MIB, 8 * MIB, UNACCEPTED),
    (8 * MIB, 8 * MIB + 0x1_2000, BOOT),
    (8 * MIB + 0x1_2000, 12 * MIB, UNACCEPTED),
];

fn layout(bytes: u64, align: u64) -> Layout {
    Layout::from_size_align(bytes as usize, align as usize).unwrap()
}

#[test]
fn nothing_is_accepted_before_it_is_needed() {
    let (mut store, mut machine) = store(&LAZY);
    let first = store.allocate(&mut machine, layout(100, 8)).unwrap().unwrap();
    assert!(store.contains(first.addr().get()));
    assert_eq!(machine.calls, 0);
    assert_eq!(store.unaccepted_bytes(), 10 * MIB - 0x1_2000);
    assert_eq!(store.bytes(), 12 * MIB - 0x1000 - 0x8_0000 - 0x1_2000);
}

#[test]
fn a_block_that_does_not_fit_is_worth_as_many_units_as_it_needs() {
    let (mut store, mut machine) = store(&LAZY);
    // The free end of the accepted part counts: 0.5 MiB and one unit.
    store.allocate(&mut machine, layout(2 * MIB + 0x7_0000, 8)).unwrap().unwrap();
    assert_eq!(machine.calls, 1);
    store.allocate(&mut machine, layout(3 * MIB, 8)).unwrap().unwrap();
    assert_eq!(machine.calls, 3);
}

#[test]
fn the_lowest_area_that_can_grow_enough_grows() {
    let (mut store, mut machine) = store(&LAZY);
    let large = store.allocate(&mut machine, layout(5 * MIB, 8)).unwrap().unwrap();
    assert!(store.physical(large.addr().get()) < 8 * MIB);
    let next = store.allocate(&mut machine, layout(3 * MIB, 8)).unwrap().unwrap();
    assert!(store.physical(next.addr().get()) >= 8 * MIB);
    assert_eq!(store.unaccepted_bytes(), 0);
}

#[test]
fn memory_that_is_not_there_is_not_accepted_for() {
    let (mut store, mut machine) = store(&LAZY);
    for bytes in [7 * MIB, 12 * MIB, 1 << 40, (1 << 62) + 1] {
        assert_eq!(store.allocate(&mut machine, layout(bytes, 8)), Ok(None));
    }
    assert_eq!(machine.calls, 0);
    let all = layout(6 * MIB + 0x7_FF00, 8);
    assert!(store.allocate(&mut machine, all).unwrap().is_some());
}

#[test]
fn a_freed_block_is_used_again() {
    let (mut store, mut machine) = store(&LAZY);
    let before = store.used_bytes();
    for _ in 0..100 {
        let layout = layout(3 * MIB, 4096);
        let block = store.allocate(&mut machine, layout).unwrap().unwrap();
        // SAFETY: a block that is in the map is allocated, for this layout.
        unsafe { store.deallocate(block, layout) };
    }
    assert_eq!((machine.calls, store.used_bytes()), (2, before));
}

#[test]
fn memory_is_accepted_ahead_once() {
    let (mut store, mut machine) = store(&LAZY);
    let mut units = 0;
    while store.accept_one(&mut machine).unwrap() {
        units += 1;
    }
    assert_eq!((units, store.unaccepted_bytes()), (5, 0));
    let accepted = machine.accepted_bytes();
    assert_eq!(accepted, 12 * MIB - 0x8_0000 - 0x1_2000);
    let block = store.allocate(&mut machine, layout(6 * MIB, 4096)).unwrap();
    assert!(block.is_some());
    assert_eq!(machine.accepted_bytes(), accepted);
}

#[test]
fn a_unit_in_two_areas_is_accepted_once() {
    let (mut store, mut machine) = store(&[
        (MIB, 2 * MIB, USABLE),
        (2 * MIB, 2 * MIB + 0x1_0000, UNACCEPTED),
        (2 * MIB + 0x1_0000, 2 * MIB + 0x2_0000, BOOT),
        (2 * MIB + 0x2_0000, 4 * MIB, UNACCEPTED),
    ]);
    store.allocate(&mut machine, layout(MIB + 0x8000, 8)).unwrap().unwrap();
    assert_eq!(store.unaccepted_bytes(), 0);
    store.allocate(&mut machine, layout(MIB, 8)).unwrap().unwrap();
}

#[test]
fn memory_that_cannot_be_accepted_is_an_error() {
    struct Twice;
    impl Accept for Twice {
        fn mem_page_accept(&mut self, _: PrivateGpa, _: PageLevel) -> Status {
            Status::PAGE_ALREADY_ACCEPTED
        }
    }
    let (mut store, _machine) = store(&LAZY);
    let gpa = PrivateGpa::new(2 * MIB);
    let error = AcceptError::AlreadyAccepted { gpa };
    assert_eq!(store.allocate(&mut Twice, layout(3 * MIB, 8)), Err(error));
    assert_eq!(
        store.accept_one(&mut Twice).unwrap_err(),
        AcceptError::AlreadyAccepted { gpa: PrivateGpa::new(4 * MIB) }
    );
}

#[test]
fn more_memory_than_can_be_noted_is_an_error() {
    let list = [(MIB, MIB + 0x1_0000, USABLE), (1 << 46, (1 << 46) + 0x1000, UNACCEPTED)];
    let map = regions(&list);
    let areas = Areas::of(map).unwrap();
    let machine = Machine::new(&map[..1]);
    let mut store = Store::EMPTY;
    // SAFETY: the machine has the usable memory; the other one is not touched.
    let done = unsafe { store.init(&areas, map, GpaWidth::Bits48, machine.offset()) };
    assert_eq!(done, Err(NoRoom { bytes: (4 << 20) + 8 }));
    let (no_memory, _) = try_store(regions(&[(MIB, 2 * MIB, UNACCEPTED)]));
    assert_eq!(no_memory.err(), Some(NoRoom { bytes: 8 }));
}

#[test]
fn an_empty_store_has_nothing() {
    let (_, mut machine) = store(&LAZY);
    let mut store = Store::EMPTY;
    assert_eq!(store.allocate(&mut machine, layout(1, 1)), Ok(None));
    assert_eq!((store.used_bytes(), store.bytes()), (0, 0));
}

/// A piece of memory: pages, and which kind.
fn pieces() -> impl Strategy<Value = Vec<(u64, usize)>> {
    prop::collection::vec((1_u64..1500, 0_usize..4), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn blocks_are_accepted_aligned_and_apart(
        pieces in pieces(),
        steps in prop::collection::vec((0_u64..0x30_0000, 0_u32..14, 0_u8..8), 1..60),
    ) {
        let mut list = std::vec![(MIB, MIB + 0x1_0000, USABLE)];
        let mut end = MIB + 0x1_0000;
        for (pages, kind) in pieces {
            let start = end;
            end += pages * PAGE_SIZE;
            list.push((start, end, [USABLE, UNACCEPTED, UNACCEPTED, BOOT][kind]));
        }
        let (mut store, mut machine) = store(&list);
        let ours = |at: u64| list.iter().any(|(start, end, kind)| {
            (*start..*end).contains(&at) && *kind != BOOT
        });
        let mut blocks: BTreeMap<u64, Layout> = BTreeMap::new();
        for (number, (bytes, align, what)) in steps.into_iter().enumerate() {
            match what {
                0 | 1 => if let Some((at, layout)) = blocks.pop_first() {
                    let at = (at + store.offset) as usize;
                    let block = NonNull::new(ptr::with_exposed_provenance_mut::<u8>(at)).unwrap();
                    // SAFETY: a block that is in the map is allocated, for this layout.
                    unsafe { store.deallocate(block, layout) };
                },
                2 => drop(store.accept_one(&mut machine).unwrap()),
                _ => {
                    let layout = layout(bytes / (1 + number as u64 % 7) + 1, 1 << align);
                    let Some(block) = store.allocate(&mut machine, layout).unwrap() else { continue };
                    prop_assert!(block.addr().get().is_multiple_of(layout.align()));
                    let at = store.physical(block.addr().get());
                    let last = at + layout.size() as u64 - 1;
                    let pages = (at / PAGE_SIZE..=last / PAGE_SIZE).map(|page| page * PAGE_SIZE);
                    prop_assert!(pages.clone().all(ours));
                    prop_assert!(pages.into_iter().all(|at| machine.accepted[at as usize / PAGE]));
                    let below = blocks.range(..=last).next_back();
                    prop_assert!(below.is_none_or(|(at_below, l)| at_below + l.size() as u64 <= at));
                    // SAFETY: the block is ours; what is not accepted would fault.
                    unsafe { block.write_bytes(0xEE, layout.size()) };
                    blocks.insert(at, layout);
                }
            }
            let left = store.unaccepted_bytes();
            let all: u64 = list.iter().filter(|(_, _, kind)| *kind != BOOT).map(|(s, e, _)| e - s).sum();
            prop_assert_eq!(machine.accepted_bytes() + left, all);
        }
    }
}
