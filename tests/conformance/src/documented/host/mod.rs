//! The host leaves. [ABI-H 3]
//!
//! A leaf's statuses are groups that many leaves have, and its own, in the order of its
//! checks. A status that comes at two checks is listed once.

mod mem;
mod mng;
mod pages;
mod phymem;
mod sys;
mod system;
mod vp;

use abi::{Operand, Status};

use super::{Documented, Leaf, OTHER_LEAVES};
use crate::Side;

/// SEAMCALL leaves.
pub const HOST: &[Leaf] = {
    const GROUPS: &[&[Leaf]] = &[
        vp::LEAVES,
        mng::LEAVES,
        mem::LEAVES,
        pages::LEAVES,
        phymem::LEAVES,
        sys::LEAVES,
        system::LEAVES,
    ];
    const ALL: [Leaf; total(GROUPS)] = concat(GROUPS);
    &ALL
};

/// Why nothing of nested VMs comes.
const NESTED: &str = "no TD has nested VMs";
/// Why nothing of migration comes.
const MIGRATION: &str = "an entry gets into such a state by migration only, which is left out";
/// Why no check of the platform fails.
const PLATFORM: &str = "the module takes QEMU's processor as it is";

/// OPERAND_INVALID.
const fn invalid(operand: Operand, when: &'static str) -> Documented {
    Documented::seen(Status::OPERAND_INVALID.with_operand(operand), when)
}

/// OPERAND_BUSY, by [`super::injected`].
const fn busy(operand: Operand, when: &'static str) -> Documented {
    Documented::seen(Status::OPERAND_BUSY.with_operand(operand), when)
}

/// A status with RCX as its operand.
const fn of_rcx(status: Status, when: &'static str) -> Documented {
    Documented::seen(status.with_operand(Operand::Rcx), when)
}

/// It did its work.
const DONE: Documented = Documented::seen(Status::SUCCESS, "the leaf did its work");

/// Of a leaf that works before the module is READY. [ABI-H 1.5]
const EARLY: &[Documented] = &[
    invalid(Operand::Rax, "a reserved bit of RAX, or a version that the leaf does not have"),
    Documented::seen(Status::SYS_SHUTDOWN, "the module is shut down"),
];
/// Of any other leaf.
const READY: &[Documented] =
    &[EARLY[0], EARLY[1], Documented::seen(Status::SYS_NOT_READY, "the module is not READY")];

/// An operand that is a page in a TDMR. [ABI-H 3.2]
const fn page(operand: Operand) -> [Documented; 4] {
    [
        invalid(operand, "the page is not aligned, has an HKID or is beyond the addresses"),
        Documented::seen(
            Status::OPERAND_ADDR_RANGE_ERROR.with_operand(operand),
            "the page is in no TDMR, or its GiB has no PAMT yet",
        ),
        busy(operand, "the page's PAMT entry is locked"),
        Documented::seen(
            Status::PAGE_METADATA_INCORRECT.with_operand(operand),
            "the page has another type or size",
        ),
    ]
}

/// The TD state sequence with a lock of the op_state. [ABI-H 3.2]
const STATE: &[Documented] = &[
    Documented::seen(Status::TD_FATAL, "the TD is dead"),
    Documented::seen(Status::TD_KEYS_NOT_CONFIGURED, "the TD's key is not there, or was given up"),
    Documented::seen(Status::TDCS_NOT_ALLOCATED, "the TD has less than six TDCS pages"),
    busy(Operand::OpState, "the TD's op_state is locked"),
    Documented::seen(Status::OP_STATE_INCORRECT, "the leaf does not work in the TD's op_state"),
];
/// Without one: the leaf has the TDR to itself.
const STATE_ALONE: &[Documented] = &[STATE[0], STATE[1], STATE[2], STATE[4]];
/// Of a leaf that finds the TD by a TDVPR page.
const STATE_OF_VCPU: &[Documented] = &[
    busy(Operand::Tdr, "the TD's TDR page is locked"),
    STATE[0],
    STATE[1],
    Documented::unseen(
        Status::TDCS_NOT_ALLOCATED,
        "the TD has less than six TDCS pages",
        "a TD that has a TDVPR page has them",
    ),
    STATE[3],
];

/// A walk of the secure EPT to a level. [ABI-H 3.2]
const WALK: &[Documented] = &[
    invalid(
        Operand::Rcx,
        "a reserved bit, a wrong level, or a GPA that is not aligned or not private",
    ),
    busy(Operand::SeptTree, "the SEPT is locked"),
    of_rcx(Status::EPT_WALK_FAILED, "the walk stops above the level"),
    busy(Operand::Rcx, "the SEPT entry is locked"),
];

/// Blocked and tracked, in a TD that may run. [ABI-H 3.8]
const TRACKED: &[Documented] = &[
    of_rcx(Status::GPA_RANGE_NOT_BLOCKED, "the TD may run, and the range is not blocked"),
    of_rcx(Status::TLB_TRACKING_NOT_DONE, "the TD may run, and no TRACK followed the blocking"),
];

/// The number of items in `groups`.
const fn total<T>(groups: &[&[T]]) -> usize {
    let (mut sum, mut index) = (0, 0);
    while index < groups.len() {
        sum += groups[index].len();
        index += 1;
    }
    sum
}

/// The items of `groups` in a row; the first group is not empty.
const fn concat<T: Copy, const N: usize>(groups: &[&[T]]) -> [T; N] {
    let mut all = [groups[0][0]; N];
    let (mut next, mut group) = (0, 0);
    while group < groups.len() {
        let mut index = 0;
        while index < groups[group].len() {
            all[next] = groups[group][index];
            (next, index) = (next + 1, index + 1);
        }
        group += 1;
    }
    all
}

/// A leaf: number, name, source, and groups of statuses.
macro_rules! leaf {
    ($number:expr, $name:literal, $source:literal, $($group:expr),+ $(,)?) => {
        Leaf {
            side: Side::Host,
            number: {
                const NUMBER: u64 = $number;
                NUMBER as u16
            },
            name: $name,
            source: $source,
            statuses: {
                const GROUPS: &[&[Documented]] = &[$($group),+];
                const ALL: [Documented; total(GROUPS)] = concat(GROUPS);
                &ALL
            },
        }
    };
}
use leaf;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_leaf_is_listed_twice_and_no_status_of_a_leaf() {
        for leaf in HOST {
            let same = HOST.iter().filter(|other| other.number == leaf.number);
            assert_eq!(same.count(), 1, "{}", leaf.name);
            for (index, one) in leaf.statuses.iter().enumerate() {
                let again =
                    leaf.statuses[index + 1..].iter().any(|other| other.status == one.status);
                assert!(!again, "{}: {} twice", leaf.name, one.status);
            }
        }
    }
}
