//! The run: cases by number, each from the seed and its number alone.
//!
//! The seed, the first case and how many come from fw_cfg, so that one case can be run
//! again: `-fw_cfg name=opt/tdlet/differ,string=<seed>:<first>:<count>`.

use kernel::{Kernel, Verdict, println};

use crate::case::Case;
use crate::forms::FORMS;
use crate::machine::Machine;
use crate::random::Random;
use crate::windows::{self, Windows};
use crate::{fw_cfg, ports};

/// What is run when fw_cfg does not say otherwise.
const DEFAULT: Plan = Plan { seed: 1, first: 0, count: 6000 };
/// The whole windows are compared after so many cases.
const WHOLE: u64 = 500;

/// Which cases to run.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) first: u64,
    pub(crate) count: u64,
}

/// Runs the cases; stops at the first difference.
pub(crate) fn run(kernel: &mut Kernel) -> Verdict {
    let Some(mut windows) = Windows::map(kernel) else {
        println!(
            "differ: no device memory at {:#x}: QEMU wants -device pc-testdev",
            windows::DEVICE
        );
        return Verdict::CheckFailed;
    };
    let plan = fw_cfg::plan().unwrap_or(DEFAULT);
    println!("differ: seed {} cases {} to {}", plan.seed, plan.first, plan.first + plan.count);
    let mut machine = Machine::new(kernel);
    let mut by_form = [0_u32; FORMS.len()];
    for number in plan.first..plan.first + plan.count {
        let mut random = Random::new(plan.seed, number);
        let form = random.below(FORMS.len() as u64) as usize;
        let case = Case::new(&FORMS[form], &mut random);
        by_form[form] += 1;
        let is_time = number % WHOLE == WHOLE - 1 || number + 1 == plan.first + plan.count;
        let seen = case.run(&mut machine, &mut windows);
        if let Err(difference) = seen.and_then(|()| windows.compare_all(is_time)) {
            println!("differ: FAILED seed {} case {number}: {case}: {difference}", plan.seed);
            return Verdict::CheckFailed;
        }
    }
    let forms = by_form.iter().filter(|count| **count > 0).count();
    println!("differ: {} cases of {forms} forms agree", plan.count);
    let Some(count) = ports::run(&mut machine, &mut windows, plan) else {
        return Verdict::CheckFailed;
    };
    println!("differ: {count} port accesses agree");
    Verdict::Passed
}
