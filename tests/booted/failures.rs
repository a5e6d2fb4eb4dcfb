//! Failures are told apart: each payload of `tests/payloads` fails in its own way.

use std::fs;
use std::time::Duration;

use harness::verdict::{self, Layer};
use harness::{Exit, Options, Report, fixture, paths};

fn boot(payload: &str) -> Report {
    fixture::boot(&fixture::options(&format!("payload-{payload}"), payload))
}

#[test]
fn a_kernel_that_does_nothing_wrong_passes() {
    let report = boot("hello");
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{report:#?}");
    assert!(report.console.contains("hello"), "{}", report.console);
    assert!(report.vmm_log.contains("none left"), "{}", report.vmm_log);
}

#[test]
fn a_failed_check_is_the_kernels_fault() {
    let report = boot("check_fails");
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::CHECK_FAILED), "{report:#?}");
    let judgement = verdict::judge(&report);
    assert_eq!((judgement.code, judgement.layer), (verdict::FAILED, Some(Layer::Kernel)));
}

#[test]
fn an_exception_that_is_not_routed_is_a_panic() {
    let report = boot("unrouted");
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::TD_DIED), "{report:#?}");
    assert!(report.console.contains("panic at kernel/src/ve/"), "{}", report.console);
    assert!(!report.console.contains("FAIL"), "{}", report.console);
}

#[test]
fn a_panic_is_on_the_console_and_in_the_fatal_error() {
    let report = boot("panic");
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::TD_DIED), "{report:#?}");
    let file = "tests/payloads/src/bin/panic.rs";
    let source = fs::read_to_string(paths::root().join(file)).unwrap();
    let line = source.lines().position(|line| line.contains("panic!(")).unwrap() + 1;
    let words = format!("panic at {file}:{line}: on purpose\n");
    assert!(report.console.contains(&words), "{}", report.console);
    let fatal = format!("vmm: fatal error from TD: {words}");
    assert!(report.vmm_log.contains(&fatal), "{}", report.vmm_log);
    let judgement = verdict::judge(&report);
    assert_eq!((judgement.code, judgement.layer), (verdict::DIED, Some(Layer::Kernel)));
}

#[test]
fn a_triple_fault_is_a_death() {
    let report = boot("triple_fault");
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::TD_DIED), "{report:#?}");
    assert!(report.vmm_log.contains("vmm: td died: "), "{}", report.vmm_log);
    assert!(report.vmm_log.contains("triple fault"), "{}", report.vmm_log);
    assert_eq!(verdict::judge(&report).code, verdict::DIED);
}

#[test]
fn touching_memory_that_was_not_accepted_is_a_death() {
    let report = boot("touch");
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::TD_DIED), "{report:#?}");
    assert!(report.vmm_log.contains("vmm: td died: "), "{}", report.vmm_log);
    assert_eq!(verdict::judge(&report).code, verdict::DIED);
}

#[test]
fn a_hang_is_ended_by_the_watchdog_of_the_vmm() {
    let config = "timeout=2000".to_owned();
    let report = fixture::boot(&Options { config, ..fixture::options("hang-watchdog", "hang") });
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::TIMED_OUT), "{report:#?}");
    assert_eq!(verdict::judge(&report).code, verdict::TIMED_OUT);
}

#[test]
fn a_hang_without_a_watchdog_is_ended_by_the_deadline() {
    let config = "timeout=0".to_owned();
    let timeout = Duration::from_secs(10);
    let options = fixture::options("hang-deadline", "hang");
    let report = fixture::boot(&Options { config, timeout, ..options });
    assert_eq!(report.exit, Exit::TimedOut, "{report:#?}");
    let judgement = verdict::judge(&report);
    assert_eq!((judgement.code, judgement.layer), (verdict::TIMED_OUT, Some(Layer::Kernel)));
    assert!(judgement.text.contains("console ends with"), "{}", judgement.text);
}
