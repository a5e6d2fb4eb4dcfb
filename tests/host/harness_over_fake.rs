//! The harness itself: logs, exit statuses and the deadline.

use std::time::Duration;

use harness::qemu::{Qemu, Version};
use harness::{Exit, Options, Report, boot, fixture, verdict};

use crate::fake;

fn booted(test: &str, timeout: Duration, body: &str) -> Report {
    let qemu = Qemu::find(&fake::qemu(test, body)).unwrap();
    assert_eq!(qemu.version, Version(9, 9, 9));
    boot(&qemu, &Options { timeout, ..fixture::options(test, "td") }).unwrap()
}

#[test]
fn every_log_and_the_verdict_are_collected() {
    let body = r#"
        printf 'kernel: hello\r\n'; echo 'module: here' >"$module"; echo 'vmm: here' >"$vmm"
        echo 'a warning' >&2; exit 33"#;
    let report = booted("fake-logs", Duration::from_secs(10), body);
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED));
    assert_eq!(report.console, "kernel: hello\n");
    assert_eq!(report.module_log, "module: here\n");
    assert_eq!(report.vmm_log, "vmm: here\n");
    assert_eq!(report.qemu_log, "a warning\n");
}

#[test]
fn logs_of_an_earlier_boot_are_gone() {
    let first = r#"echo 'vmm: reclaimed 1 pages, none left' >"$vmm"; exit 33"#;
    booted("fake-stale", Duration::from_secs(10), first);
    let second = booted("fake-stale", Duration::from_secs(10), "exit 33");
    assert_eq!(second.vmm_log, "");
}

#[test]
fn a_qemu_that_hangs_is_killed_at_the_deadline() {
    let report = booted("fake-hang", Duration::from_millis(500), "echo 'kernel: 1'; exec sleep 60");
    assert_eq!(report.exit, Exit::TimedOut);
    assert!(report.elapsed >= Duration::from_millis(500));
    assert!(report.elapsed < Duration::from_secs(5), "{:?}", report.elapsed);
    assert_eq!(report.console, "kernel: 1\n");
    let judgement = verdict::judge(&report);
    assert_eq!(judgement.code, verdict::TIMED_OUT);
    assert!(judgement.text.contains("kernel: 1"), "{}", judgement.text);
}

#[test]
fn a_qemu_that_is_killed_is_not_a_verdict() {
    let report = booted("fake-killed", Duration::from_secs(10), "kill -ABRT $$");
    assert_eq!(report.exit, Exit::Signal(6));
}
