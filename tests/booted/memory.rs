//! Trust domains of every size: all memory is there, once, zero at first, and it is the same
//! whether boot accepts it or the kernel does. Hosts map it by pages of 4 KiB or of 2 MiB.

use std::path::PathBuf;
use std::time::Duration;

use harness::{Exit, Options, Report, fixture, paths};

const MIB: u64 = 1 << 20;
const LARGE_PAGES: &str = "pages=2m";
/// What boot, the kernel and their tables take, in MiB.
const TAKEN: u64 = 8;

/// An image of `payload` with this option, for the test `test`.
fn image(test: &str, payload: &str, accept: &str) -> PathBuf {
    let output = fixture::scratch(test).join(accept).with_extension("fd");
    let mut command = fixture::xtask();
    let option = format!("accept={accept}");
    command.args(["image", "--append", &option, "--kernel"]).arg(paths::bare(payload));
    let done = command.arg("--output").arg(&output).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    output
}

/// Boots `payload` in a trust domain of `mib` MiB; it passes.
fn boot(payload: &str, mib: u64, config: &str, accept: &str) -> Report {
    let test = format!("memory-{payload}-{mib}-{config}-{accept}");
    let image = image(&test, payload, accept);
    let timeout = Duration::from_mins(2);
    let (memory_bytes, config) = (mib * MIB, config.to_owned());
    let options = fixture::options(&test, payload);
    let report = fixture::boot(&Options { image, memory_bytes, config, timeout, ..options });
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{test}: {report:#?}");
    report
}

/// The payload's lines.
fn lines(report: &Report) -> Vec<&str> {
    report.console.lines().filter_map(|line| line.strip_prefix("memory: ")).collect()
}

/// The number before or after a word.
fn number(report: &Report, before: &str, after: &str) -> u64 {
    let line = lines(report).into_iter().find_map(|line| line.strip_prefix(before));
    let number = line.and_then(|line| line.split_once(after)).expect("the line is there").0;
    number.parse().unwrap()
}

/// TDG.MEM.PAGE.ACCEPT calls until the end.
fn accepts(report: &Report) -> u64 {
    let line = report.module_log.lines().find(|line| line.contains("counts at end")).unwrap();
    let count = line.split(' ').find_map(|word| word.strip_prefix("tdcall.6="));
    count.unwrap().parse().unwrap()
}

/// Eager and lazy agree, and all memory of `mib` MiB is there.
fn is_the_same(mib: u64, config: &str) {
    let eager = boot("memory", mib, config, "eager");
    let lazy = boot("memory", mib, config, "lazy");
    assert_eq!(lines(&eager), lines(&lazy), "{}", eager.console);
    let took = number(&eager, "took ", " MiB");
    assert!((mib - TAKEN..=mib).contains(&took), "{took} MiB of {mib}");
    // 2.75 GiB and more are split: 2 GiB below the hole, the rest above 4 GiB. [TDVF 2.1]
    let above = if mib < 2816 { 0 } else { mib - 2048 };
    assert_eq!(number(&eager, "of these ", " MiB"), above);
    assert_eq!(number(&eager, "unaccepted ", " KiB"), 0);
}

#[test]
fn sixty_four_mib_are_the_same_eager_and_lazy() {
    is_the_same(64, "");
    is_the_same(64, LARGE_PAGES);
}

#[test]
fn a_quarter_of_a_gib_is_the_same_eager_and_lazy() {
    is_the_same(256, LARGE_PAGES);
}

#[test]
fn three_gib_are_the_same_eager_and_lazy() {
    is_the_same(3 << 10, LARGE_PAGES);
}

#[test]
fn six_gib_are_the_same_eager_and_lazy() {
    is_the_same(6 << 10, LARGE_PAGES);
}

#[test]
fn what_is_not_needed_is_not_accepted() {
    for config in ["", LARGE_PAGES] {
        let small = accepts(&boot("hello", 64, config, "lazy"));
        for mib in [3 << 10, 6 << 10] {
            let large = accepts(&boot("hello", mib, config, "lazy"));
            assert!(large * 10 <= small * 11, "{mib} MiB {config}: {large} calls, not {small}");
        }
    }
}

#[test]
fn dirty_pages_of_the_host_are_zero_in_the_trust_domain() {
    boot("memory", 32, "features=dirty-pages", "lazy");
    boot("memory", 32, "features=dirty-pages,pages=2m", "eager");
}
