//! Pages between private and shared, at the level of the call: an honest host, and each way of
//! `map-gpa` to be a hostile one.

use std::time::Duration;

use harness::{Exit, Options, Report, fixture};

/// What an honest host gives, line by line.
const HONEST: &str = "\
share: success
shared page reads 0x0
shared page keeps 0x1234
unshare: success
unshare: accepted and zero
share again: success
take back: success
the old alias reads 0x0
take back again: success
take back again: accepted and zero
a touch reads 0x0
a touch: accepted and zero
its neighbour holds 0x7061747465726e21
share many: success
page 512 reads 0x0
page 1027 reads 0x0
the last page holds 0x7061747465726e21
unshare many: success
unshare many: accepted and zero
";

fn boot(name: &str, config: &str) -> Report {
    let options = fixture::options(&format!("map-gpa-{name}"), "map_gpa");
    let timeout = Duration::from_mins(1);
    fixture::boot(&Options { config: config.into(), timeout, ..options })
}

/// The payload's own lines.
fn said(report: &Report) -> &str {
    report.console.find("share: ").map_or("", |at| &report.console[at..])
}

/// The TD ends with a check that failed, having said `last`, and loses no page.
fn fails(mode: &str, last: &str) {
    let report = boot(mode, &format!("map-gpa={mode}"));
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::CHECK_FAILED), "{report:#?}");
    assert!(said(&report).contains(last), "{mode}: {}", report.console);
    assert!(report.vmm_log.contains("none left"), "{}", report.vmm_log);
}

/// The TD passes, having said what it says on an honest host, and loses no page.
fn passes(name: &str, config: &str) -> Report {
    let report = boot(name, config);
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{report:#?}");
    assert!(said(&report).starts_with(HONEST), "{}", report.console);
    assert!(report.vmm_log.contains("none left"), "{}", report.vmm_log);
    report
}

#[test]
fn pages_go_and_come_back_empty() {
    let report = passes("honest", "");
    // By touch: the old alias, and page 4 there and back.
    let counts = "conversions: 522 pages to shared, 522 to private, 3 by touch";
    assert!(report.vmm_log.contains(counts), "{}", report.vmm_log);
}

#[test]
fn pages_of_large_ones_go_and_come_back_empty() {
    passes("honest-2m", "pages=2m");
}

#[test]
fn pages_go_and_come_back_one_by_one() {
    passes("retry-each", "map-gpa=retry-each");
}

#[test]
fn a_host_that_always_says_retry_is_given_up() {
    fails("retry-for-ever", "share: the VMM answered RETRY after 0 pages");
}

#[test]
fn a_host_that_says_retry_outside_of_the_range_is_given_up() {
    fails("retry-outside", "share: the VMM answered RETRY after 0 pages");
}

#[test]
fn a_host_that_goes_backwards_is_given_up() {
    fails("retry-backwards", "share: the VMM answered RETRY after 1 pages");
}

#[test]
fn an_error_is_an_error() {
    fails("error:8000000000000000", "share: the VMM answered INVALID_OPERAND after 0 pages");
}

#[test]
fn a_host_that_lies_kills_the_td_at_the_first_touch() {
    let report = boot("lie", "map-gpa=lie");
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::TD_DIED), "{report:#?}");
    assert!(report.vmm_log.contains("which was not made shared"), "{}", report.vmm_log);
    assert!(said(&report).trim_end().ends_with("share: success"), "{}", report.console);
    assert!(report.vmm_log.contains("none left"), "{}", report.vmm_log);
}

#[test]
fn a_lie_with_ves_ends_when_the_page_is_accepted() {
    // The #VE makes an MMIO request of each access, so that even the value is kept; but the page
    // never left the TD.
    fails("lie-mmio", "unshare: accept of page 0: PAGE_ALREADY_ACCEPTED");
}

#[test]
fn without_invept_a_page_that_is_shared_no_more_is_still_seen() {
    let report = boot("no-flush", "map-gpa=no-flush");
    assert!(said(&report).contains("the old alias reads 0x5678"), "{}", report.console);
    assert!(report.vmm_log.contains("none left"), "{}", report.vmm_log);
}

#[test]
fn the_host_finds_nothing_of_what_was_private() {
    let report = passes("look", "features=look");
    let looks = "\
the host finds 0 words of what is private
share what is full: success
the host finds Some(0) words of what was private
and None there
the host finds Some(1) words of what is shared
and Some(65726e21) there
unshare what is full: success
the host finds Some(0) words of what was shared
unshare what is full: accepted and zero
";
    assert!(said(&report).contains(looks), "{}", report.console);
}
