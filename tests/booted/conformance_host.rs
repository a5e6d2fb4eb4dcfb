//! Every host leaf in a running VMM, against what the specification documents.

use std::sync::OnceLock;
use std::time::Duration;

use conformance::documented::{Documented, HOST, injected};
use conformance::{Line, Side};
use harness::coverage::{Coverage, check_document};
use harness::{Exit, Machine, Options, Report, fixture, paths};

/// More checks than a boot can do without.
const ENOUGH: usize = 1000;

/// A program of `tests/hosts` in place of the VMM.
fn options(test: &str, program: &str) -> Options {
    let machine = Machine::Emulator { module: paths::bare("module"), vmm: paths::bare(program) };
    Options { machine, timeout: Duration::from_mins(1), ..fixture::options(test, "td") }
}

/// `conform_host`; one boot for all tests that only look at its lines.
fn report() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(|| fixture::boot(&options("conformance-host", "conform_host")))
}

/// `conform_busy`, a boot for each part of its list.
fn busy_reports() -> &'static [Report] {
    static REPORTS: OnceLock<Vec<Report>> = OnceLock::new();
    REPORTS.get_or_init(|| (0..injected::parts()).map(busy).collect())
}

fn busy(part: usize) -> Report {
    let rules = injected::part(part).map(|(leaf, status)| {
        let times = injected::times(leaf, status);
        format!("inject=tdh.{leaf}:{:x}:{times}", status.0)
    });
    let module_options = rules.collect::<Vec<_>>().join(" ");
    let options = options(&format!("conformance-busy-{part}"), "conform_busy");
    fixture::boot(&Options { module_options, config: format!("part={part}"), ..options })
}

fn lines(report: &Report) -> Vec<Line<'_>> {
    report.vmm_log.lines().filter_map(Line::parse).collect()
}

/// The lines of all boots.
fn all_lines() -> Vec<Line<'static>> {
    busy_reports().iter().chain([report()]).flat_map(lines).collect()
}

/// All went well; gives the number of checks.
fn passed(report: &Report) -> usize {
    let failed: Vec<&str> =
        report.vmm_log.lines().filter(|line| line.contains("] FAILED: ")).collect();
    assert_eq!(failed, [""; 0]);
    let passed = Exit::Verdict(abi::verdict::PASSED);
    assert_eq!(report.exit, passed, "{}{}", report.vmm_log, report.module_log);
    let lines = lines(report);
    assert!(lines.iter().all(|line| line.side == Side::Host));
    let sum = format!("vmm: {} checks, 0 failed", lines.len());
    assert!(report.vmm_log.contains(&sum), "{sum}");
    lines.len()
}

#[test]
fn every_host_leaf_answers_as_specified() {
    let checks = passed(report());
    assert!(checks >= ENOUGH, "{checks} checks");
}

#[test]
fn typed_functions_try_again_when_somebody_is_in_the_way() {
    let checks: usize = busy_reports().iter().map(passed).sum();
    assert!(checks >= 2 * injected::injected().count(), "{checks} checks");
}

#[test]
fn every_documented_status_of_a_host_leaf_is_reached_or_has_a_reason() {
    let lines = all_lines();
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
    let lines = all_lines();
    let is_documented = |line: &&Line<'_>| {
        let mut same = HOST.iter().filter(|leaf| leaf.number == line.leaf);
        same.any(|leaf| leaf.statuses.iter().any(|listed| listed.status == line.status))
    };
    let unknown: Vec<_> = lines.iter().filter(|line| !is_documented(line)).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn the_document_shows_what_was_seen_of_the_host_leaves() {
    let lines = all_lines();
    let coverage = Coverage::new(Side::Host, HOST, &lines);
    assert_eq!(coverage.problems(), [""; 0]);
    check_document(Side::Host, &coverage.section(&[])).unwrap();
}

#[test]
fn a_module_that_clears_rbp_answers_the_same() {
    let module_options = "rbp=clobber".to_owned();
    let options = options("conformance-host-rbp", "conform_host");
    let report = fixture::boot(&Options { module_options, ..options });
    passed(&report);
    let kept = "the typed function: an interrupt, and RBP";
    let is_kept = |line: &Line<'_>| line.name == kept && line.failure.is_none();
    assert!(lines(&report).iter().any(is_kept), "{}", report.vmm_log);
}

#[test]
fn every_other_qemu_answers_the_same() {
    for (index, qemu) in fixture::more_qemus().iter().enumerate() {
        let options = options(&format!("conformance-host-qemu-{index}"), "conform_host");
        let checks = passed(&fixture::boot_on(qemu, &options));
        assert_eq!(checks, passed(report()), "QEMU {}", qemu.version);
    }
}
