//! How a run ends where devices are missing: the verdict is on the console whatever comes.

use harness::{Exit, Options, Report, fixture};

/// A boot of `image` on a machine without these devices.
fn without(test: &str, image: &str, missing: &str) -> Report {
    let config = format!("features={missing},timeout=5000");
    fixture::boot(&Options { config, ..fixture::options(test, image) })
}

/// Whether the console says so in a line of its own.
fn says(report: &Report, verdict: &str) -> bool {
    let line = format!("# verdict: {verdict}");
    report.console.lines().any(|console| console == line)
}

#[test]
fn without_debug_exit_the_machine_is_switched_off_by_acpi() {
    let report = without("power-off-acpi", "hello", "no-debug-exit");
    assert!(says(&report, "passed"), "{report:#?}");
    assert!(report.vmm_log.contains("switched the machine off"), "{}", report.vmm_log);
}

#[test]
fn without_both_a_bad_verdict_is_a_fatal_error() {
    let report = without("power-off-fatal", "check_fails", "no-debug-exit+no-acpi");
    assert!(says(&report, "a check failed"), "{report:#?}");
    assert!(report.vmm_log.contains("vmm: fatal error from TD: "), "{}", report.vmm_log);
    assert!(report.vmm_log.contains("verdict: a check failed"), "{}", report.vmm_log);
}

#[test]
fn without_both_a_good_verdict_is_a_halt() {
    let report = without("power-off-halt", "hello", "no-debug-exit+no-acpi");
    assert!(says(&report, "passed"), "{report:#?}");
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::TIMED_OUT), "{report:#?}");
}

#[test]
fn with_debug_exit_the_verdict_is_on_the_console_too() {
    let report = fixture::boot(&fixture::options("power-off-verdict", "check_fails"));
    assert!(says(&report, "a check failed"), "{report:#?}");
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::CHECK_FAILED), "{report:#?}");
}
