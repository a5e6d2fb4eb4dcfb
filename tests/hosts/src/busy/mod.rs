//! Leaves that are in each other's way: what comes of it, and that a caller tries again.
//!
//! The module gives each status of `conformance::documented::injected` a number of times:
//! once to a call with all registers known, then to the typed function, which tries again a
//! bounded number of times and reports it, then to calls that count what is left. The part of
//! the list is in the configuration: `part=<number>`.

mod typed;

use abi::leaf::tdh;
use abi::{Hpa, Status, verdict};
use conformance::documented::injected;
use tdcall::host;

use crate::bare;
use crate::place::{Buffer, Place};
use crate::run::{Row, Run, What};
use crate::scenarios::{self, system};
use crate::tables::tdmrs;

/// The most that a typed function may try.
const BOUND: u32 = 10_000;

/// Runs a part in this RAM; gives the verdict.
pub fn run(ram: (u64, u64)) -> u32 {
    let Some(part) = bare::config::number("part") else {
        bare::log(format_args!("error: VMM: the configuration names no part"));
        return verdict::REFUSED;
    };
    let Some(mut run) = scenarios::begin(ram) else {
        return verdict::EMULATOR_FAILED;
    };
    let is_early = |(leaf, _): &(u64, Status)| system::EARLY.contains(leaf);
    check_all(&mut run, injected::part(part).filter(is_early));
    bring_up(&mut run);
    check_all(&mut run, injected::part(part).filter(|rule| !is_early(rule)));
    let what = What(tdh::SYS_TDMR_INIT, "ABI-H 3.5", "the typed function, in its turn");
    run.typed(&what, host::sys_tdmr_init(Hpa::new(0)), &0);
    if run.finish() { verdict::PASSED } else { verdict::CHECK_FAILED }
}

/// The typed functions from SYS.INIT to READY.
fn bring_up(run: &mut Run) {
    let what = |leaf| What(leaf, "ABI-H 3.5", "the typed function, in its turn");
    run.typed(&what(tdh::SYS_INIT), host::sys_init(), &());
    run.typed(&what(tdh::SYS_LP_INIT), host::sys_lp_init(), &());
    let array = system::write(run, &tdmrs::good(&run.pool));
    let hkid = run.pool.resolve(Place::Hkid(0)) as u16;
    run.typed(&what(tdh::SYS_CONFIG), system::sys_config(array, hkid), &());
    run.typed(&what(tdh::SYS_KEY_CONFIG), host::sys_key_config(), &());
}

/// All of these; the statuses of a leaf stand together.
fn check_all(run: &mut Run, rules: impl Iterator<Item = (u64, Status)>) {
    let mut last = None;
    for (leaf, status) in rules {
        // The call that found the last rule used up got the first of this one.
        let gone = u32::from(last == Some(leaf));
        check(run, leaf, status, injected::times(leaf, status) - gone);
        last = Some(leaf);
    }
}

/// One status of one leaf, which the next `given` calls get.
fn check(run: &mut Run, leaf: u64, status: Status, given: u32) {
    const SOURCE: &str = "ABI-H 1.6, 3.2";
    run.check(&Row {
        name: "somebody is in the way",
        rax: leaf,
        source: SOURCE,
        input: &[],
        status,
        output: typed::zeroed(leaf, status),
    });
    let answer = typed::call(leaf, run);
    let left = (0..given).take_while(|_| raw(leaf) == status).count() as u32;
    let tries = (given - 1).saturating_sub(left);
    let name = if typed::tries_once(leaf, status) {
        "the typed function says so at once"
    } else {
        "the typed function tries again, not for ever, and says so"
    };
    let expected = if typed::tries_once(leaf, status) { 1..=1 } else { 2..=BOUND };
    let what = What(leaf, SOURCE, name);
    run.report_as(&what, status, answer == Some(status) && expected.contains(&tries));
}

/// A call with operands that are nobody's.
fn raw(leaf: u64) -> Status {
    let mut regs = abi::Regs { rcx: 1, rdx: 1, r8: 1, r9: 1, ..abi::Regs::default() };
    crate::run::call(leaf, &mut regs)
}

/// Where the typed functions may point to.
fn page(run: &Run) -> Hpa {
    run.address(Place::Page(0))
}

/// As above, for what must be shared.
fn buffer(run: &Run) -> Hpa {
    run.address(Place::Buffer(Buffer::Spare))
}
