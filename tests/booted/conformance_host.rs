//! Every host leaf in a running VMM, against what the specification documents.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use conformance::documented::{HOST, injected};
use conformance::{Line, Side};
use harness::coverage::{Coverage, check_document};
use harness::{Exit, Machine, Options, Report, fixture, paths};

/// More checks than a boot can do without.
const ENOUGH: usize = 1000;

/// A program of `tests/hosts` in place of the VMM.
fn options(test: &str, program: &str) -> Options {
    let machine = Machine::Emulator { module: paths::bare("module"), vmm: paths::bare(program) };
    Options { machine, timeout: Duration::from_mins(1), ..fixture::options(test, "td") }
}

/// `conform_host`; one boot for all tests that only look at its lines.
fn report() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(|| fixture::boot(&options("conformance-host", "conform_host")))
}

/// `conform_busy`, a boot for each part of its list.
fn busy_reports() -> &'static [Report] {
    static REPORTS: OnceLock<Vec<Report>> = OnceLock::new();
    REPORTS.get_or_init(|| (0..injected::parts()).map(busy).collect())
}

fn busy(part: usize) -> Report {
    let rules = injected::part(part).map(|(leaf, status)| {
        let times = injected::times(leaf, status);
        format!("inject=tdh.{leaf}:{:x}:{times}", status.0)
    });
    let module_options = rules.collect::<Vec<_>>().join(" ");
    let options = options(&format!("conformance-busy-{part}"), "conform_busy");
    fixture::boot(&Options { module_options, config: format!("part={part}"), ..options })
}

fn lines(report: &Report) -> Vec<Line<'_>> {
    report.vmm_log.lines().filter_map(Line::parse).collect()
}

/// All went well; gives the number of checks.
fn passed(report: &Report) -> usize {
    let failed: Vec<&str> =
        report.vmm_log.lines().filter(|line| line.contains("] FAILED: ")).collect();
    assert_eq!(failed, [""; 0]);
    let passed = Exit::Verdict(abi::verdict::PASSED);
    assert_eq!(report.exit, passed, "{}{}", report.vmm_log, report.module_log);
    let lines = lines(report);
    assert!(lines.iter().all(|line| line.side == Side::Host));
    let sum = format!("vmm: {} checks, 0 failed", lines.len());
    assert!(report.vmm_log.contains(&sum), "{sum}");
    lines.len()
}

#[test]
fn every_host_leaf_answers_as_specified() {
    let checks = passed(report());
    assert!(checks >= ENOUGH, "{checks} checks");
}

#[test]
fn typed_functions_try_again_when_somebody_is_in_the_way() {
    let checks: usize = busy_reports().iter().map(passed).sum();
    assert!(checks >= 2 * injected::injected().count(), "{checks} checks");
}

#[test]
fn every_documented_status_is_seen_or_can_not_be() {
    let reports = std::iter::once(report()).chain(busy_reports());
    let lines: Vec<Line<'_>> = reports.flat_map(lines).collect();
    let coverage = Coverage::new(Side::Host, HOST, &lines);
    assert_eq!(coverage.problems(), [""; 0]);
    check_document(Side::Host, &coverage.section(&[])).unwrap();
}

/// Every function that `tdcall::host` has is among those that `tests/hosts` calls; that it
/// is called successfully is for its lines to say.
#[test]
fn every_typed_host_function_is_called() {
    let source = fs::read_to_string(paths::root().join("tdcall/src/host/mod.rs")).unwrap();
    let exported = source.lines().skip_while(|line| !line.starts_with("pub use "));
    let exported = exported.take_while(|line| !line.is_empty());
    let exported: String = exported.filter(|line| !line.starts_with("pub use crate::")).collect();
    let words = exported.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    let is_function = |word: &&str| word.contains('_') && word.chars().all(|c| !c.is_uppercase());
    let callers = sources(&paths::root().join("tests/hosts/src"));
    let mut functions = 0;
    for function in words.filter(is_function) {
        let is_module = source.contains(&format!("\nmod {function};\n"));
        assert!(is_module || callers.contains(&format!("host::{function}(")), "{function}");
        functions += usize::from(!is_module);
    }
    assert!(functions >= 50, "the search finds {functions} functions");
}

/// All that is in the files of a folder and its folders.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        text += &if path.is_dir() { sources(&path) } else { fs::read_to_string(&path).unwrap() };
    }
    text
}

#[test]
fn a_module_that_clears_rbp_answers_the_same() {
    let module_options = "rbp=clobber".to_owned();
    let options = options("conformance-host-rbp", "conform_host");
    let report = fixture::boot(&Options { module_options, ..options });
    passed(&report);
    let kept = "the typed function: an interrupt, and RBP";
    let is_kept = |line: &Line<'_>| line.name == kept && line.failure.is_none();
    assert!(lines(&report).iter().any(is_kept), "{}", report.vmm_log);
}

#[test]
fn every_other_qemu_answers_the_same() {
    for (index, qemu) in fixture::more_qemus().iter().enumerate() {
        let options = options(&format!("conformance-host-qemu-{index}"), "conform_host");
        let checks = passed(&fixture::boot_on(qemu, &options));
        assert_eq!(checks, passed(report()), "QEMU {}", qemu.version);
    }
}
