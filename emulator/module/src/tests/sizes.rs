//! Leaves that take, give, split, merge and move the pages of a TD, in any order and at
//! any level: no panic, and every page has one owner. [ABI-H 8]

use abi::leaf::tdh;
use abi::{Regs, Status};
use proptest::prelude::*;

use super::fake::PAGE;
use super::host::{Host, Shape};
use crate::machine::Outcome;
use crate::td::Td;

const MIB2: u64 = PAGE << 9;
/// Two ranges of 2 MiB for pages of the TD, aligned.
const LARGE: u64 = 0x400_0000;
/// Pages for tables.
const TABLES: u64 = 0x380_0000;

/// A runnable debug TD whose GPAs `[2 MiB, 4 MiB)` hold a pending page of 2 MiB and
/// `[4 MiB, 6 MiB)` 512 mapped pages that could be one.
fn template() -> Host {
    std::thread_local! {
        static HOST: Host = {
            let mut host = Host::runnable(Shape { attributes: 1 << 28 | 1, ..Shape::default() });
            let tdr = host.tdr;
            for (gpa, page) in [(MIB2, LARGE), (2 * MIB2, LARGE + MIB2)] {
                host.must(tdh::MEM_PAGE_AUG, [gpa | 1, tdr, page, 0]);
            }
            let operand = (2 * MIB2) | 1;
            assert_eq!(host.accept(operand), Outcome::Done);
            host.must(tdh::MEM_RANGE_BLOCK, [operand, tdr, 0, 0]);
            host.must(tdh::MEM_TRACK, [tdr, 0, 0, 0]);
            host.must(tdh::MEM_PAGE_DEMOTE, [operand, tdr, TABLES, 0]);
            host
        };
    }
    HOST.with(Host::clone)
}

const LEAVES: [u64; 13] = [
    tdh::MEM_PAGE_DEMOTE,
    tdh::MEM_PAGE_PROMOTE,
    tdh::MEM_PAGE_RELOCATE,
    tdh::MEM_PAGE_REMOVE,
    tdh::MEM_PAGE_AUG,
    tdh::MEM_RANGE_BLOCK,
    tdh::MEM_RANGE_BLOCK,
    tdh::MEM_RANGE_UNBLOCK,
    tdh::MEM_TRACK,
    tdh::MEM_SEPT_ADD,
    tdh::MEM_SEPT_REMOVE,
    tdh::MEM_WR,
    tdh::MEM_SEPT_RD,
];

fn gpa_and_level() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => (1..3_u64).prop_map(|range| (range * MIB2) | 1),
        3 => (1..3_u64, 0..3_u64).prop_map(|(range, page)| range * MIB2 + page * PAGE),
        1 => (0..4_u64).prop_map(|level| level),
    ]
}

fn page() -> impl Strategy<Value = u64> {
    prop_oneof![
        2 => (0..2_u64).prop_map(|range| LARGE + range * MIB2),
        2 => (0..2_u64, 0..3_u64).prop_map(|(range, page)| LARGE + range * MIB2 + page * PAGE),
        3 => (0..4_u64).prop_map(|page| TABLES + page * PAGE),
    ]
}

/// Pages that name the TD as their owner, in units of 4 KiB.
fn children(host: &Host) -> u64 {
    let mut at = super::host::POOL;
    let mut owned = 0;
    while at < LARGE + 2 * MIB2 {
        let slot = host.module.pamt_walk(&host.m, at).expect("in the TDMR");
        if slot.page_type().is_owned() && slot.owner() == host.tdr {
            owned += slot.pages();
        }
        at += slot.pages() * PAGE;
    }
    owned
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_page_keeps_one_owner(
        calls in proptest::collection::vec((0..LEAVES.len(), gpa_and_level(), page()), 1..60),
    ) {
        let mut host = template();
        let tdr = host.tdr;
        let mut done = 0;
        for (leaf, operand, page) in calls {
            let leaf = LEAVES[leaf];
            let rcx = if leaf == tdh::MEM_TRACK { tdr } else { operand };
            let regs = host.call(leaf, |r| *r = Regs { rcx, rdx: tdr, r8: page, ..*r });
            done += u32::from(Status(regs.rax) == Status::SUCCESS);
        }
        host.assert_ownership();
        prop_assert_eq!(Td::load(&host.m, tdr).tdr.chldcnt, children(&host), "{} calls", done);
    }
}
