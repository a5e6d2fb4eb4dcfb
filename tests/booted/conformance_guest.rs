//! Every guest leaf in a running TD, against what the specification documents.

use std::sync::OnceLock;
use std::time::Duration;

use conformance::{Line, Side, UNLISTED_BYTES, UNLISTED_START};
use harness::{Exit, Options, Report, fixture};
use payloads::conform::{Mark, Marks};

/// A TD with fewer checks is not the one that was meant.
const ENOUGH: usize = 260;

/// Boots the checks; the VMM adds unlisted memory when the TD comes for it.
fn boot(test: &str, config: &str, change: impl FnOnce(&mut Options)) -> Report {
    let mut options = Options {
        memory_bytes: UNLISTED_START + UNLISTED_BYTES,
        config: format!("unlisted={UNLISTED_BYTES}{config}"),
        timeout: Duration::from_mins(1),
        ..fixture::options(&format!("conformance-{test}"), "conform")
    };
    change(&mut options);
    fixture::boot(&options)
}

/// The TD of KVM's defaults: a touch of a pending page exits, pages are small.
fn plain() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(|| boot("guest", "", |_| ()))
}

/// A touch of a pending page is a #VE unless the TD says otherwise; addresses are wide.
fn pending_ve() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(|| {
        boot("guest-pending-ve", ",flags=0x6", |options| {
            (options.attributes, options.gpaw) = (0, 52);
        })
    })
}

/// The VMM adds pages of 2 MiB.
fn large_pages() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(|| boot("guest-large-pages", ",pages=2m", |_| ()))
}

/// The checks that ran, each as its line.
fn lines(report: &Report) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = report.console.lines().filter_map(Line::parse).collect();
    for (_, rows) in report.console.lines().filter_map(Marks::parse) {
        let passed = rows.filter(|(_, mark)| *mark == Mark::Passed);
        lines.extend(passed.map(|(row, _)| Line::of(Side::Guest, &row.check, None)));
    }
    lines
}

fn assert_conforms(report: &Report) {
    let failed: Vec<&str> =
        report.console.lines().filter(|line| line.contains("] FAILED: ")).collect();
    assert_eq!(failed, [""; 0]);
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{report:#?}");
    let lines = lines(report);
    assert!(lines.len() >= ENOUGH, "{} checks", lines.len());
    let sum = format!("\n{} checks, 0 failed\n", lines.len());
    assert!(report.console.contains(&sum), "{sum}");
}

#[test]
fn every_guest_leaf_answers_as_documented() {
    assert_conforms(plain());
}

#[test]
fn every_guest_leaf_answers_so_where_pending_pages_raise_ve_and_addresses_are_wide() {
    assert_conforms(pending_ve());
}

#[test]
fn every_guest_leaf_answers_so_over_large_pages() {
    assert_conforms(large_pages());
}
