//! Pages are converted: the payload `convert` under an honest host and under every liar.

use std::time::Duration;

use harness::{Exit, Options, Report, fixture};

/// What `convert` says when the host has looked for what was private.
const NO_SECRET: &str = "convert: the host finds no secret";

/// Pages that `convert` converts, each once there and once back.
const PAGES: u32 = 40 + 10 * 16 + 3 * 513;

fn boot(test: &str, payload: &str, config: &str) -> Report {
    let options = fixture::options(test, payload);
    let timeout = Duration::from_mins(1);
    fixture::boot(&Options { config: config.to_owned(), timeout, ..options })
}

/// Boots `convert` with a host whose MapGPA is not what it should be.
fn hostile(mode: &str) -> Report {
    let test = format!("convert-{}", mode.replace(':', "-"));
    boot(&test, "convert", &format!("features=look,map-gpa={mode}"))
}

/// All pages went there and back, none by the host's guess, and the host got all of them again.
fn passes(report: &Report) {
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{report:#?}");
    assert!(report.console.contains("convert: all pages are back"), "{}", report.console);
    // Of each size, while the pages are shared and when they are private again.
    assert_eq!(report.console.matches(NO_SECRET).count(), 6, "{}", report.console);
    let words = format!("conversions: {PAGES} pages to shared, {PAGES} to private, 0 by touch");
    assert!(report.vmm_log.contains(&words), "{}", report.vmm_log);
    assert!(report.vmm_log.contains("none left"), "{}", report.vmm_log);
}

/// The first block of so many pages is lost, with these words and no secret, and nothing else.
fn loses(report: &Report, pages: u32, words: &str) {
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::CHECK_FAILED), "{report:#?}");
    assert!(report.console.contains(words), "{words}: {}", report.console);
    let after = report.console.split(words).nth(1).unwrap_or_default();
    assert!(after.contains(NO_SECRET), "{}", report.console);
    let lost = format!(" 0 shared, {} lost", pages * 4096);
    assert!(report.console.contains(&lost), "{lost}: {}", report.console);
    assert!(report.vmm_log.contains("none left"), "{}", report.vmm_log);
}

#[test]
fn pages_go_there_and_back_with_zeros_on_both_sides() {
    passes(&boot("convert", "convert", "features=look"));
}

#[test]
fn pages_that_the_host_maps_by_2_mib_do_so_too() {
    passes(&boot("convert-2m", "convert", "features=look,pages=2m"));
}

#[test]
fn a_host_that_says_retry_after_each_page_is_followed() {
    passes(&hostile("retry-each"));
}

#[test]
fn a_host_that_says_retry_for_ever_is_given_up() {
    let words = "in step AskShared: MapGPA stopped at 0x8000";
    let report = hostile("retry-for-ever");
    loses(&report, 1, words);
    assert!(report.console.contains("the VMM answered RETRY"), "{}", report.console);
}

#[test]
fn an_address_to_go_on_from_outside_the_range_is_refused() {
    loses(&hostile("retry-outside"), 1, "the VMM answered RETRY");
}

#[test]
fn an_address_to_go_on_from_that_moves_backwards_is_refused() {
    // One page is one call, which this host serves.
    loses(&hostile("retry-backwards"), 16, "the VMM answered RETRY");
}

#[test]
fn an_error_is_said_by_name_and_an_unknown_one_by_number() {
    let cases = [
        ("8000000000000000", "INVALID_OPERAND"),
        ("8000000000000001", "GPA_INUSE"),
        ("8000000000000002", "ALIGN_ERROR"),
        ("8000000000000003", "SUBFUNC_UNSUPPORTED"),
        ("1234", "unknown answer 0x1234"),
    ];
    for (status, name) in cases {
        let words = format!("the VMM answered {name}");
        loses(&hostile(&format!("error:{status}")), 1, &words);
    }
}

#[test]
fn success_without_conversion_ends_at_the_first_touch() {
    let report = hostile("lie");
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::TD_DIED), "{report:#?}");
    let words = "td died: it touched 0x8000";
    assert!(report.vmm_log.contains(words), "{}", report.vmm_log);
    assert!(report.vmm_log.contains("which was not made shared"), "{}", report.vmm_log);
}

#[test]
fn success_with_a_device_in_its_place_is_a_panic_that_says_so() {
    let report = hostile("lie-mmio");
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::TD_DIED), "{report:#?}");
    let words = "the host answered MapGPA with success, but page 0x";
    assert!(report.console.contains(words), "{}", report.console);
    assert!(report.console.contains(" is not shared memory"), "{}", report.console);
}

#[test]
fn a_host_that_keeps_the_shared_page_gets_no_private_one() {
    passes(&hostile("no-flush"));
}

/// The TD ends by a page fault at the address that it said.
fn faults(payload: &str) {
    let report = boot(payload, payload, "");
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::TD_DIED), "{report:#?}");
    assert!(!report.console.contains("FAIL"), "{}", report.console);
    let touched = report.console.lines().find_map(|line| line.strip_prefix("touching "));
    let words = format!("address {}", touched.unwrap_or("nothing"));
    let panic = report.console.lines().find(|line| line.contains("#PF at rip"));
    assert!(panic.is_some_and(|panic| panic.contains(&words)), "{words}: {}", report.console);
}

#[test]
fn no_address_leads_to_the_private_half_of_a_shared_page() {
    faults("stray_private");
}

#[test]
fn no_address_leads_to_the_shared_half_of_a_private_page() {
    faults("stray_shared");
}
