//! Every host leaf in a running VMM, against what the specification documents.

use std::time::Duration;

use conformance::{Line, Side};
use harness::{Exit, Machine, Options, Report, fixture, paths};

/// More checks than a boot can do without.
const ENOUGH: usize = 120;

fn boot(test: &str) -> Report {
    let machine =
        Machine::Emulator { module: paths::bare("module"), vmm: paths::bare("conform_host") };
    let options = fixture::options(test, "td");
    fixture::boot(&Options { machine, timeout: Duration::from_secs(60), ..options })
}

#[test]
fn every_host_leaf_answers_as_documented() {
    let report = boot("conformance-host");
    let lines: Vec<Line<'_>> = report.vmm_log.lines().filter_map(Line::parse).collect();
    let failed: Vec<&str> =
        report.vmm_log.lines().filter(|line| line.contains("] FAILED: ")).collect();
    assert_eq!(failed, [""; 0]);
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{}", report.module_log);
    assert!(lines.len() >= ENOUGH, "{} checks", lines.len());
    assert!(lines.iter().all(|line| line.side == Side::Host));
    let sum = format!("vmm: {} checks, 0 failed", lines.len());
    assert!(report.vmm_log.contains(&sum), "{sum}");
}
