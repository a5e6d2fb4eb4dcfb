//! The Test Anything Protocol, version 14, as far as the checks need it. [TAP 14]
//!
//! ```text
//! TAP version 14
//! 1..2
//! # a comment
//! ok 1 - cpuid-host
//! not ok 2 - io-8
//!   ---
//!   step: "IN 8"
//!   result: "0x0"
//!   expected: "0x5a"
//!   ...
//! ```

use super::step::{Failure, Steps};
use crate::println;

/// The version and the plan.
pub(super) fn begin(checks: usize) {
    println!("TAP version 14");
    println!("1..{checks}");
}

/// The result of a check; whether it is not a failure.
pub(super) fn end_of_check(number: u32, name: &str, steps: &Steps) -> bool {
    match (steps.failure(), steps.skipped()) {
        (None, Some(reason)) => println!("ok {number} - {name} # SKIP {reason}"),
        (None, None) => println!("ok {number} - {name}"),
        (Some(failure), _) => {
            println!("not ok {number} - {name}");
            diagnose(failure);
        }
    }
    steps.failure().is_none()
}

/// The YAML block: what came of the first step that failed.
fn diagnose(failure: &Failure) {
    println!("  ---");
    println!("  step: \"{}\"", failure.step);
    println!("  result: \"{:#x}\"", failure.result);
    println!("  expected: \"{:#x}\"", failure.wanted);
    if let Some(seen) = &failure.seen {
        println!("  exceptions: {}", seen.exceptions);
        println!("  exit_reason: {}", seen.last.reason.0);
        println!("  qualification: \"{:#x}\"", seen.last.qualification);
        println!("  gpa: \"{:#x}\"", seen.last.gpa);
    }
    println!("  ...");
}
