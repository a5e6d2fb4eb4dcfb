//! The options in the image: they are measured, and say what boot accepts.

use std::fs;
use std::path::PathBuf;

use harness::{Exit, Options, Report, crosscheck, fixture, paths, verdict};
use image::PageOrder;

/// The memory of the trust domains here, in KiB.
const KIB: u64 = 32 << 10;
/// What of it the VMM adds at the start: boot's stack and data, and the TD HOB.
const ADDED_KIB: u64 = 72;

/// An image of the payload `hello` with these options.
fn image(name: &str, text: &str) -> PathBuf {
    let mut command = fixture::xtask();
    let output = fixture::scratch("append").join(name).with_extension("fd");
    command.args(["image", "--append", text, "--kernel"]).arg(paths::bare("hello"));
    let done = command.arg("--output").arg(&output).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    output
}

/// Boots such an image.
fn boot(name: &str, text: &str) -> Report {
    let image = image(name, text);
    let options = fixture::options(&format!("append-{name}"), "hello");
    fixture::boot(&Options { image, memory_bytes: KIB << 10, ..options })
}

/// What boot says it accepted and left, in KiB.
fn accepted_and_left(report: &Report) -> (u64, u64) {
    let line = report.console.lines().find_map(|line| line.strip_prefix("boot: ")).unwrap();
    let (accepted, rest) = line.split_once(" KiB accepted").unwrap();
    let left = rest.strip_suffix(" KiB left").and_then(|rest| rest.rsplit(' ').next());
    (accepted.parse().unwrap(), left.unwrap().parse().unwrap())
}

#[test]
fn another_text_is_another_measurement() {
    let computed = ["accept=eager", "accept=lazy"].map(|text| {
        let report = boot(&text[7..], text);
        assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{report:#?}");
        let image = fs::read(fixture::scratch("append").join(&text[7..]).with_extension("fd"));
        let computed = crosscheck::mrtd(&image.unwrap(), PageOrder::Interleaved).unwrap();
        let measured = report.vmm_log.lines().find_map(|line| line.strip_prefix("vmm: mrtd "));
        assert_eq!(measured, Some(&*computed));
        computed
    });
    assert_ne!(computed[0], computed[1]);
}

#[test]
fn the_options_say_what_boot_accepts() {
    for text in ["", "accept=eager"] {
        assert_eq!(accepted_and_left(&boot("all", text)), (KIB - ADDED_KIB, 0), "{text}");
    }
    for text in ["accept=lazy", "accept=background"] {
        let (accepted, left) = accepted_and_left(&boot("some", text));
        assert_eq!(accepted + left, KIB - ADDED_KIB);
        assert!(accepted <= 4096, "{accepted} KiB accepted");
    }
}

#[test]
fn an_acceptance_that_boot_does_not_know_stops_it_with_a_line() {
    let report = boot("unknown", "accept=sometimes");
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::TD_DIED), "{report:#?}");
    let words = "options: accept=sometimes is not known: use lazy, eager or background";
    assert!(report.console.contains(&format!("boot: error: {words}\n")), "{}", report.console);
    assert!(report.vmm_log.contains("vmm: fatal error from TD: boot: error: options: "));
    assert_eq!(verdict::judge(&report).code, verdict::DIED);
}
