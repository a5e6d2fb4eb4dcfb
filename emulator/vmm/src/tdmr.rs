//! Which memory the TDX module gets: TDMRs, their PAMTs, and their holes. [ABI-H 3.5]
//!
//! ```text
//! RAM of the memory map ∩ CMRs − what the VMM keeps   = free
//! free − PAMTs                                        = pool: pages for trust domains
//! each run of GiBs with free memory                   = one TDMR
//! TDMR − pool                                         = its reserved areas
//! ```
//!
//! A PAMT may lie in any TDMR, because it lies in a reserved area of it. The map may be
//! anything: what does not fit the module's limits is left out, never given.

use abi::PAGE_SIZE;
use abi::tdmr::{MAX_RESERVED, PAMT_ENTRY_BYTES, ReservedArea, TdmrInfo};

use crate::ram::{Range, Ranges};

/// Unit of a TDMR.
const GIB: u64 = 1 << 30;
/// TDMRs that the VMM makes; memory behind the last one stays its own.
pub const MAX_TDMRS: usize = 8;
/// Ranges of free memory that are told apart.
pub const MAX_RANGES: usize = 32;
/// PAMT bytes of a GiB: 4 KiB entries, 2 MiB entries.
const PAMT_BYTES: [u64; 2] = [(GIB >> 12) * PAMT_ENTRY_BYTES, (GIB >> 21) * PAMT_ENTRY_BYTES];

/// What the module allows: its own global fields. [ABI-H 4.5]
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// MAX_TDMRS.
    pub tdmrs: usize,
    /// MAX_RESERVED_PER_TDMR.
    pub reserved_per_tdmr: usize,
}

/// The result: operands for TDH.SYS.CONFIG and the memory that trust domains can have.
#[derive(Clone, Debug)]
pub struct Plan {
    tdmrs: [TdmrInfo; MAX_TDMRS],
    count: usize,
    /// Memory that can be given away page by page.
    pub pool: Ranges<MAX_RANGES>,
}

impl Plan {
    /// Plans for `free` memory. `None`: there is none, or not enough for a PAMT.
    #[must_use]
    pub fn new(mut free: Ranges<MAX_RANGES>, limits: Limits) -> Option<Self> {
        if limits.reserved_per_tdmr == 0 {
            return None;
        }
        let runs = runs_of_gibs(&free, limits.tdmrs.min(MAX_TDMRS));
        free.intersect(runs.as_slice());
        let mut tdmrs = [TdmrInfo::EMPTY; MAX_TDMRS];
        for (tdmr, run) in tdmrs.iter_mut().zip(runs.as_slice()) {
            *tdmr = with_pamt(*run, &mut free)?;
        }
        let count = runs.as_slice().len();
        for tdmr in &mut tdmrs[..count] {
            reserve(tdmr, &mut free, limits.reserved_per_tdmr.min(MAX_RESERVED));
        }
        (count != 0 && free.bytes() != 0).then_some(Self { tdmrs, count, pool: free })
    }

    /// The TDMRs in address order.
    #[must_use]
    pub fn tdmrs(&self) -> &[TdmrInfo] {
        &self.tdmrs[..self.count]
    }
}

/// Runs of GiBs in which there is free memory, at most `most`, the lowest ones.
fn runs_of_gibs(free: &Ranges<MAX_RANGES>, most: usize) -> Ranges<MAX_TDMRS> {
    let mut all = Ranges::<MAX_RANGES>::new();
    for range in free.as_slice() {
        let start = range.start & !(GIB - 1);
        all.insert(start, range.end.next_multiple_of(GIB) - start);
    }
    let mut runs = Ranges::new();
    for run in all.as_slice().iter().take(most) {
        runs.insert(run.start, run.len());
    }
    runs
}

/// A TDMR over `run`, its three PAMTs taken out of `free` as one block.
fn with_pamt(run: Range, free: &mut Ranges<MAX_RANGES>) -> Option<TdmrInfo> {
    let gibs = run.len() / GIB;
    let [size_4k, size_2m] = PAMT_BYTES.map(|bytes| gibs * bytes);
    let size_1g = (gibs * PAMT_ENTRY_BYTES).next_multiple_of(PAGE_SIZE);
    let block = free.take_highest(size_4k + size_2m + size_1g, PAGE_SIZE, u64::MAX)?;
    Some(TdmrInfo {
        base: run.start,
        size: run.len(),
        pamt_4k_base: block.start,
        pamt_4k_size: size_4k,
        pamt_2m_base: block.start + size_4k,
        pamt_2m_size: size_2m,
        pamt_1g_base: block.start + size_4k + size_2m,
        pamt_1g_size: size_1g,
        ..TdmrInfo::EMPTY
    })
}

/// Lists what of `tdmr` is not free. With more than `most` holes, the smallest free
/// ranges between them are given up until the list fits.
fn reserve(tdmr: &mut TdmrInfo, free: &mut Ranges<MAX_RANGES>, most: usize) {
    let whole = Range::new(tdmr.base, tdmr.base + tdmr.size);
    loop {
        let mut holes = Ranges::<{ MAX_RANGES + 1 }>::new();
        holes.insert(whole.start, whole.len());
        for range in free.as_slice() {
            holes.remove(*range);
        }
        if holes.as_slice().len() <= most {
            for (area, hole) in tdmr.reserved.iter_mut().zip(holes.as_slice()) {
                *area = ReservedArea { offset: hole.start - tdmr.base, size: hole.len() };
            }
            return;
        }
        let inside = |range: &&Range| !range.intersection(whole).is_empty();
        let smallest = free.as_slice().iter().filter(inside).min_by_key(|range| range.len());
        match smallest {
            Some(range) => free.remove(range.intersection(whole)),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const LIMITS: Limits = Limits { tdmrs: 64, reserved_per_tdmr: 16 };

    fn free(pieces: &[(u64, u64)]) -> Ranges<MAX_RANGES> {
        let mut free = Ranges::new();
        for (base, size) in pieces {
            free.insert(*base, *size);
        }
        free
    }

    /// What the module checks in TDH.SYS.CONFIG. [ABI-H 3.5]
    fn check(plan: &Plan, free: &Ranges<MAX_RANGES>, limits: Limits) {
        let mut end = 0;
        let mut pamts = Vec::new();
        let mut given = Vec::new();
        for tdmr in plan.tdmrs() {
            assert!(tdmr.base % GIB == 0 && tdmr.size % GIB == 0 && tdmr.size != 0);
            assert!(tdmr.base >= end, "TDMRs are out of order");
            end = tdmr.base + tdmr.size;
            let pages = tdmr.size >> 12;
            assert!(tdmr.pamt_4k_size >= pages * 16);
            assert!(tdmr.pamt_2m_size >= pages / 512 * 16);
            assert!(tdmr.pamt_1g_size >= pages / 512 / 512 * 16);
            for (base, size) in [
                (tdmr.pamt_4k_base, tdmr.pamt_4k_size),
                (tdmr.pamt_2m_base, tdmr.pamt_2m_size),
                (tdmr.pamt_1g_base, tdmr.pamt_1g_size),
            ] {
                assert!(base % 4096 == 0 && size % 4096 == 0);
                pamts.push(Range::new(base, base + size));
            }
            let mut at = 0;
            for area in tdmr.reserved.iter().take_while(|area| area.size != 0) {
                assert!(area.offset >= at && area.size % 4096 == 0 && area.offset % 4096 == 0);
                given.push(Range::new(tdmr.base + at, tdmr.base + area.offset));
                at = area.offset + area.size;
            }
            assert!(at <= tdmr.size);
            given.push(Range::new(tdmr.base + at, tdmr.base + tdmr.size));
            let areas = tdmr.reserved.iter().filter(|area| area.size != 0).count();
            assert!(areas <= limits.reserved_per_tdmr);
        }
        let within =
            |range: &Range| free.as_slice().iter().any(|free| free.intersection(*range) == *range);
        let given: Vec<_> = given.into_iter().filter(|range| !range.is_empty()).collect();
        for (index, pamt) in pamts.iter().enumerate() {
            assert!(within(pamt), "PAMT outside the CMRs");
            for other in pamts[index + 1..].iter().chain(&given) {
                assert!(pamt.intersection(*other).is_empty(), "PAMT_OVERLAP");
            }
        }
        assert!(given.iter().all(within), "TDMR_OUTSIDE_CMRS");
        let mut pool = plan.pool.clone();
        pool.intersect(&given);
        assert_eq!(pool.bytes(), plan.pool.bytes(), "the pool is not what the TDMRs give");
    }

    #[test]
    fn a_small_machine_has_one_tdmr_with_a_hole_on_each_side() {
        let memory = free(&[(0x300_0000, 0x0C00_0000 - 0x300_0000)]);
        let plan = Plan::new(memory.clone(), LIMITS).unwrap();
        check(&plan, &memory, LIMITS);
        let [tdmr] = plan.tdmrs() else { panic!("one TDMR") };
        assert_eq!((tdmr.base, tdmr.size), (0, GIB));
        let pamt = (4 << 20) + 0x2000 + 0x1000;
        let expected = [
            ReservedArea { offset: 0, size: 0x300_0000 },
            ReservedArea { offset: 0x0C00_0000 - pamt, size: GIB - 0x0C00_0000 + pamt },
        ];
        assert_eq!(tdmr.reserved[..2], expected);
        assert_eq!(tdmr.reserved[2].size, 0);
    }

    #[test]
    fn memory_above_four_gib_is_a_tdmr_of_its_own() {
        let memory = free(&[(0x300_0000, 0x7D00_0000), (4 * GIB, GIB + 0x1000)]);
        let plan = Plan::new(memory.clone(), LIMITS).unwrap();
        check(&plan, &memory, LIMITS);
        let bases: Vec<_> = plan.tdmrs().iter().map(|tdmr| (tdmr.base, tdmr.size)).collect();
        assert_eq!(bases, [(0, 2 * GIB), (4 * GIB, 2 * GIB)]);
    }

    #[test]
    fn no_memory_is_no_plan() {
        assert!(Plan::new(free(&[]), LIMITS).is_none());
        assert!(Plan::new(free(&[(0, 0x1000)]), LIMITS).is_none());
    }

    #[test]
    fn too_many_holes_cost_memory_and_not_correctness() {
        let pieces: Vec<_> = (0..20).map(|i| (i * 0x100_0000, 0x80_0000 + i * 0x1000)).collect();
        let memory = free(&pieces);
        let limits = Limits { tdmrs: 64, reserved_per_tdmr: 4 };
        let plan = Plan::new(memory.clone(), limits).unwrap();
        check(&plan, &memory, limits);
        assert!(plan.pool.as_slice().len() <= 4);
    }

    proptest! {
        #[test]
        fn any_map_makes_a_plan_that_the_module_takes(
            pieces in prop::collection::vec((0..1_u64 << 34, 0..1_u64 << 32), 0..40),
            tdmrs in 0..4_usize,
            reserved_per_tdmr in 1..17_usize,
        ) {
            let memory = free(&pieces);
            let limits = Limits { tdmrs, reserved_per_tdmr };
            if let Some(plan) = Plan::new(memory.clone(), limits) {
                check(&plan, &memory, limits);
            }
        }
    }
}
