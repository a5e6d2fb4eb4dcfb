//! The image as the firmware of an ordinary PC: it says so, and never passes or hangs.

use std::time::Duration;

use harness::{Exit, Options, fixture, paths, verdict};

#[test]
fn an_ordinary_pc_is_told_that_it_is_no_trust_domain() {
    let options = fixture::plain_options("plain-pc", &paths::image("td"));
    let report = fixture::boot(&Options { timeout: Duration::from_secs(10), ..options });
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::NOT_A_TRUST_DOMAIN), "{report:#?}");
    assert!(report.console.contains("not in a trust domain"), "{}", report.console);
    assert_eq!(verdict::judge(&report).code, verdict::NOT_A_TD);
    assert!(report.elapsed < Duration::from_secs(2), "{:?}", report.elapsed);
}
