//! Every host leaf in a running VMM, against what the specification documents.

use std::sync::OnceLock;
use std::time::Duration;

use conformance::documented::{Documented, HOST};
use conformance::{Line, Side};
use harness::{Exit, Machine, Options, Report, fixture, paths};

/// More checks than a boot can do without.
const ENOUGH: usize = 1000;

/// `conform_host` in place of the VMM, with these options of the module.
fn boot(test: &str, module_options: &str) -> Report {
    let machine =
        Machine::Emulator { module: paths::bare("module"), vmm: paths::bare("conform_host") };
    let timeout = Duration::from_mins(1);
    let module_options = module_options.to_owned();
    fixture::boot(&Options { machine, timeout, module_options, ..fixture::options(test, "td") })
}

/// One boot for all tests that only look at its lines.
fn report() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(|| boot("conformance-host", ""))
}

fn lines(report: &Report) -> Vec<Line<'_>> {
    report.vmm_log.lines().filter_map(Line::parse).collect()
}

#[test]
fn every_host_leaf_answers_as_specified() {
    let report = report();
    let failed: Vec<&str> =
        report.vmm_log.lines().filter(|line| line.contains("] FAILED: ")).collect();
    assert_eq!(failed, [""; 0]);
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{}", report.vmm_log);
    let lines = lines(report);
    assert!(lines.len() >= ENOUGH, "{} checks", lines.len());
    assert!(lines.iter().all(|line| line.side == Side::Host));
    let sum = format!("vmm: {} checks, 0 failed", lines.len());
    assert!(report.vmm_log.contains(&sum), "{sum}");
}

#[test]
fn every_documented_status_of_a_host_leaf_is_reached_or_has_a_reason() {
    let lines = lines(report());
    let mut wrong = Vec::new();
    for leaf in HOST {
        for Documented { status, when, unreachable } in leaf.statuses {
            let mut same = lines.iter().filter(|line| line.leaf == leaf.number);
            let is_reached = same.any(|line| line.status == *status);
            if is_reached == unreachable.is_some() {
                wrong.push(format!("{} {status}, {when}: {unreachable:?}", leaf.name));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn every_status_that_a_host_leaf_gives_is_documented() {
    let lines = lines(report());
    let is_documented = |line: &&Line<'_>| {
        let mut same = HOST.iter().filter(|leaf| leaf.number == line.leaf);
        same.any(|leaf| leaf.statuses.iter().any(|listed| listed.status == line.status))
    };
    let unknown: Vec<_> = lines.iter().filter(|line| !is_documented(line)).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn a_module_that_clears_rbp_answers_the_same() {
    let report = boot("conformance-host-rbp", "rbp=clobber");
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{}", report.vmm_log);
    let kept = "the typed function: an interrupt, and RBP";
    let is_kept = |line: &Line<'_>| line.name == kept && line.failure.is_none();
    assert!(lines(&report).iter().any(is_kept), "{}", report.vmm_log);
}
