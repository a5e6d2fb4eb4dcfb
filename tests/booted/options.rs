//! The options of `cargo xtask run`, and the configurations of a trust domain.

use std::fs;
use std::time::Duration;

use harness::{Exit, Options, fixture, paths};

#[test]
fn another_image_boots_the_same_way() {
    fixture::xtask();
    let path = fixture::scratch("option-image").join("other.fd");
    fs::copy(paths::image("hello"), &path).unwrap();
    let output = fixture::run("option-image", &["--image", path.to_str().unwrap()]);
    let console = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(console.contains("hello from a trust domain"), "{console}");
}

#[test]
fn memory_is_what_was_asked_for() {
    let output = fixture::run("memory-32", &["--memory", "32M"]);
    let console = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{console}");
    let usable = usable_kib(&console).expect("the kernel says how much it can use");
    // Boot, kernel and their tables take some.
    assert!((24 << 10..=32 << 10).contains(&usable), "{console}");
}

/// The number before `KiB usable` on the console.
fn usable_kib(console: &str) -> Option<u64> {
    let (before, _) = console.split_once(" KiB usable")?;
    before.rsplit(' ').next()?.parse().ok()
}

#[test]
fn a_timeout_ends_a_hang_with_exit_code_5() {
    fixture::xtask();
    let image = paths::image("hang");
    let options = ["--image", image.to_str().unwrap(), "--timeout", "5"];
    let output = fixture::run("option-timeout", &options);
    assert_eq!(output.status.code(), Some(5), "{output:?}");
}

#[test]
fn a_wide_address_space_works() {
    let options = fixture::options("gpaw-52", "td");
    let report = fixture::boot(&Options { gpaw: 52, ..options });
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{report:#?}");
}

#[test]
fn large_host_pages_work() {
    let options = fixture::options("pages-2m", "td");
    let report = fixture::boot(&Options { config: "pages=2m".into(), ..options });
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{report:#?}");
}

#[test]
fn a_configuration_that_the_vmm_does_not_know_is_refused() {
    let refused = |what: &str, change: fn(&mut Options)| {
        let timeout = Duration::from_secs(10);
        let mut options = Options { timeout, ..fixture::options("bad-config", "td") };
        change(&mut options);
        let report = fixture::boot(&options);
        assert_eq!(report.exit, Exit::Verdict(abi::verdict::REFUSED), "{what}: {report:#?}");
    };
    refused("an unknown key", |options| options.config = "colour=red".into());
    refused("an unknown probe", |options| options.config = "probe=everything".into());
    refused("no number", |options| options.config = "timeout=soon".into());
    refused("an unknown width", |options| options.gpaw = 49);
    refused("an attribute that the module does not know", |options| options.attributes = 1 << 60);
}
