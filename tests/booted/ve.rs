//! Every cause of #VE, by the instructions of the payload `ve_causes`: what the kernel makes
//! of them, and what the module says that it injected.

use std::fs;

use abi::Counts;
use harness::crosscheck::{self, Kernel};
use harness::{Exit, Options, Report, fixture, paths};
use image::PageOrder;

/// What KVM does not give: PCONFIG, Instruction.WBINVD, and a port to play with.
const FEATURES: &str = "features=pconfig+wbinvd+scratch-port";

/// Exit reasons of the causes [ABI-G 5] and how many exceptions the payload wants of each. I/O
/// (30) is the console's too.
const CAUSES: [(u16, u64); 13] = [
    (10, 2),
    (12, 1),
    (13, 1),
    (18, 1),
    (28, 2),
    (31, 6),
    (32, 5),
    (36, 1),
    (39, 1),
    (48, 2),
    (54, 2),
    (56, 1),
    (65, 2),
];
const IO: u16 = 30;

fn boot(test: &str, image: &str, config: &str) -> Report {
    let options = fixture::options(test, image);
    fixture::boot(&Options { config: config.to_owned(), ..options })
}

#[test]
fn each_cause_is_handled_and_the_module_counted_as_many() {
    let report = boot("ve-causes", "ve_causes", FEATURES);
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{report:#?}");
    let image = fs::read(paths::image("ve_causes")).unwrap();
    let mrtd = crosscheck::mrtd(&image, PageOrder::Interleaved).unwrap();
    let agreement = crosscheck::compare(&report, &mrtd, Kernel::Ours);
    let agreement = agreement.unwrap_or_else(|differences| panic!("{differences:#?}"));
    let counts = agreement.counts.unwrap();
    for (reason, exceptions) in CAUSES {
        assert_eq!(counts.ve(reason), exceptions, "reason {reason}: {counts}");
        assert!(has_line(&report, reason), "reason {reason}: {}", report.console);
    }
    assert!(counts.ve(IO) > 0 && has_line(&report, IO), "{}", report.console);
    assert_eq!(counts.ve(80), 0, "a cause that the table does not have: {counts}");
    // Not by way of the kernel's line: the module's own last words.
    let injected = last_counts(&report);
    assert!(CAUSES.iter().all(|(reason, count)| injected.ve(*reason) >= *count), "{injected}");
}

#[test]
fn a_kernel_without_the_features_is_refused_them() {
    let report = boot("ve-causes-kvm", "ve_causes", "features=scratch-port");
    // WBINVD is refused by the host, and PCONFIG is not there: #UD where nobody expects it.
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::TD_DIED), "{report:#?}");
    assert!(report.console.contains("FAIL 54 WBINVD"), "{}", report.console);
    assert!(report.console.contains("panic at kernel/src/traps.rs"), "{}", report.console);
    assert!(report.console.contains("#UD at rip"), "{}", report.console);
}

#[test]
fn a_stop_says_what_it_is_about() {
    let report = boot("ve-stop", "unrouted", "");
    let words = "#VE not routed: MSR 0x8b is not one to access so; RDMSR qualification 0x0 rip ";
    assert!(report.console.contains(words), "{}", report.console);
    assert!(report.console.contains(" bytes 0f 32"), "{}", report.console);
}

/// A line `ok   REASON CAUSE NAME: …`.
fn has_line(report: &Report, reason: u16) -> bool {
    let reason = reason.to_string();
    report.console.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some("ok") && words.next() == Some(&reason)
    })
}

fn last_counts(report: &Report) -> Counts {
    let line = report.module_log.lines().rfind(|line| line.starts_with("module: counts "));
    Counts::parse(line.unwrap_or_default())
}
