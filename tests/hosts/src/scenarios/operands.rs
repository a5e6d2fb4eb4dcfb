//! The faults of [`crate::tables::operands`], for every leaf that can have them.

use abi::leaf::tdh;
use abi::{Gpr, Operand, Status};
use conformance::Value::{At, Is};

use crate::place::Place::{Tdr, Tdvpr};
use crate::run::{Row, Run};
use crate::tables::operands::{
    ANY_PAGE, FAR_PAGE, Fault, GPA_BITS, Giver, RESERVED_PAGE, Taker, Walker, operand,
};

const SOURCE: &str = "ABI-H 3.2";

/// Each fault of a page in each leaf that takes one of a TD; `own` are the faults of pages of
/// its kind.
pub(super) fn taken(run: &mut Run, takers: &[Taker], own: &[Fault]) {
    for taker in takers {
        let far = (taker.leaf != tdh::VP_ENTER).then_some(&FAR_PAGE);
        for fault in ANY_PAGE.iter().chain([&RESERVED_PAGE]).chain(far).chain(own) {
            run.check(&Row {
                name: fault.name,
                rax: taker.leaf,
                source: SOURCE,
                input: &[(taker.register, fault.page)],
                status: fault.status.with_operand(operand(taker.register)),
                output: taker.zeroed,
            });
        }
    }
}

/// Each fault of a page in each leaf that takes one that is nobody's.
pub(super) fn given(run: &mut Run, givers: &[Giver], own: &[Fault]) {
    for giver in givers {
        // PHYMEM.PAGE.RDMD tells the type of any page.
        let reserved = (giver.leaf != tdh::PHYMEM_PAGE_RDMD).then_some(&RESERVED_PAGE);
        for fault in ANY_PAGE.iter().chain([&FAR_PAGE]).chain(reserved).chain(own) {
            let page = (giver.register, fault.page);
            let mut input = [page; 4];
            for (slot, register) in input.iter_mut().zip(giver.rest) {
                *slot = *register;
            }
            run.check(&Row {
                name: fault.name,
                rax: giver.leaf,
                source: SOURCE,
                input: &input,
                status: fault.status.with_operand(operand(giver.register)),
                output: giver.zeroed,
            });
        }
    }
}

/// Every leaf with the TD state sequence says `status`, whatever its other operands are;
/// those that work in `op_state` are left out.
pub(super) fn state(run: &mut Run, name: &str, takers: &[Taker], op_state: u8, status: Status) {
    let page = |taker: &Taker| match taker.leaf {
        tdh::VP_ENTER | tdh::VP_ADDCX | tdh::VP_FLUSH | tdh::VP_INIT | tdh::VP_RD | tdh::VP_WR => {
            Tdvpr(0)
        }
        _ => Tdr,
    };
    for taker in takers {
        if taker.states.is_some_and(|states| states & op_state == 0) {
            run.check(&Row {
                name,
                rax: taker.leaf,
                source: SOURCE,
                input: &[(taker.register, At(page(taker)))],
                status,
                output: taker.zeroed,
            });
        }
    }
}

/// Each fault of a GPA with a level, in each leaf that takes one.
pub(super) fn gpas(run: &mut Run, walkers: &[Walker]) {
    for walker in walkers {
        let lowest = u64::from(walker.lowest);
        for (name, bits) in GPA_BITS {
            gpa(run, walker, name, lowest | bits);
        }
        gpa(run, walker, "the level is too high", u64::from(walker.highest) + 1);
        gpa(run, walker, "the level is 7", 7);
        if lowest != 0 {
            gpa(run, walker, "the level is too low", lowest - 1);
        }
        if walker.highest != 0 {
            let highest = u64::from(walker.highest);
            let half = 0x1000 << (9 * highest - 1);
            gpa(run, walker, "the GPA is not aligned to the level", half | highest);
        }
    }
}

fn gpa(run: &mut Run, walker: &Walker, name: &str, gpa_and_level: u64) {
    run.check(&Row {
        name,
        rax: walker.leaf,
        source: SOURCE,
        input: &[(Gpr::Rcx, Is(gpa_and_level)), (Gpr::Rdx, At(Tdr))],
        status: Status::OPERAND_INVALID.with_operand(Operand::Rcx),
        output: &[(Gpr::Rcx, Is(0)), (Gpr::Rdx, Is(0))],
    });
}

/// Where nothing is mapped every walk stops at the root, and tells so.
pub(super) fn walks_without_sept(run: &mut Run, walkers: &[Walker]) {
    for walker in walkers {
        let level = u64::from(walker.lowest);
        run.check(&Row {
            name: "the walk stops at the free root entry",
            rax: walker.leaf,
            source: "ABI-H 3.2, 7.1",
            input: &[(Gpr::Rcx, Is(level)), (Gpr::Rdx, At(Tdr))],
            status: Status::EPT_WALK_FAILED.with_operand(Operand::Rcx),
            output: &[(Gpr::Rcx, Is(1 << 63)), (Gpr::Rdx, Is(3))],
        });
    }
}
