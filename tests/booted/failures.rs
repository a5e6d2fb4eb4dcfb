//! Failures are told apart: each payload of `tests/payloads` fails in its own way.

use std::time::Duration;

use harness::verdict::{self, Layer};
use harness::{Exit, Options, Report, fixture};

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
fn a_panic_is_on_the_console_and_in_the_fatal_error() {
    let report = boot("panic");
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::TD_DIED), "{report:#?}");
    assert!(report.console.contains("panic.rs:"), "{}", report.console);
    let fatal = report.vmm_log.lines().find(|line| line.starts_with("vmm: fatal error from TD: "));
    assert!(fatal.is_some_and(|line| line.contains("panic")), "{}", report.vmm_log);
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
    let timeout = Duration::from_secs(4);
    let options = fixture::options("hang-deadline", "hang");
    let report = fixture::boot(&Options { config, timeout, ..options });
    assert_eq!(report.exit, Exit::TimedOut, "{report:#?}");
    let judgement = verdict::judge(&report);
    assert_eq!((judgement.code, judgement.layer), (verdict::TIMED_OUT, Some(Layer::Kernel)));
    assert!(judgement.text.contains("console ends with"), "{}", judgement.text);
}
