//! Every guest leaf in a running TD, against what the specification documents.

use std::sync::OnceLock;
use std::time::Duration;

use abi::leaf::tdg;
use abi::{Operand, Status};
use conformance::documented::{EXITS, GUEST};
use conformance::{Line, Side, UNLISTED_BYTES, UNLISTED_START};
use harness::coverage::{Coverage, check_document};
use harness::{Exit, Options, Report, crosscheck, fixture, paths};
use image::PageOrder;
use payloads::conform::tables::{BUSY, BUSY_SERVTD, CROSS_TD};
use payloads::conform::typed_busy::{ACCEPT_RCX, TIMES};
use payloads::conform::{Mark, Marks};

/// A TD with fewer checks is not the one that was meant.
const ENOUGH: usize = 260;

/// A boot of the checks; the VMM adds unlisted memory when the TD comes for it, and no page
/// that it adds is zero. `config` follows the list of its features.
fn options(test: &str, config: &str) -> Options {
    Options {
        memory_bytes: UNLISTED_START + UNLISTED_BYTES,
        config: format!("unlisted={UNLISTED_BYTES},features=dirty-pages{config}"),
        timeout: Duration::from_mins(1),
        ..fixture::options(&format!("conformance-{test}"), "conform")
    }
}

fn boot(test: &str, config: &str, change: impl FnOnce(&mut Options)) -> Report {
    let mut options = options(test, config);
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

/// The checks that ran, each as its line: rows of tables first.
fn lines(report: &Report) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    for (_, rows) in report.console.lines().filter_map(Marks::parse) {
        let passed = rows.filter(|(_, mark)| *mark == Mark::Passed);
        lines.extend(passed.map(|(row, _)| Line::of(Side::Guest, &row.check, None)));
    }
    lines.extend(report.console.lines().filter_map(Line::parse));
    lines
}

fn assert_conforms(report: &Report, enough: usize) {
    let failed: Vec<&str> =
        report.console.lines().filter(|line| line.contains("] FAILED: ")).collect();
    assert_eq!(failed, [""; 0]);
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{report:#?}");
    let lines = lines(report);
    assert!(lines.len() >= enough, "{} checks", lines.len());
    let sum = format!("\n{} checks, 0 failed\n", lines.len());
    assert!(report.console.contains(&sum), "{sum}");
}

/// TDG.SERVTD leaves about the TD itself, under a VMM that goes on after their traps.
fn cross_td() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(|| {
        boot("guest-cross-td", "+cross-td", |options| {
            options.image = paths::image("conform_servtd");
        })
    })
}

/// Leaves that the module answers as busy: to the host the lock belongs, or to another CPU.
fn busy(name: &str, code: Status) -> Report {
    let lock = |operand| code.with_operand(operand);
    let field = Status::OPERAND_BUSY.with_operand(Operand::MetadataField);
    let rules = [
        (tdg::MR_RTMR_EXTEND, lock(Operand::Rtmr), None),
        (tdg::MR_REPORT, lock(Operand::Rtmr), None),
        (tdg::MEM_PAGE_ACCEPT, lock(Operand::Rcx), Some(ACCEPT_RCX)),
        (tdg::VM_WR, field, None),
        (tdg::MEM_PAGE_ATTR_RD, lock(Operand::Rcx), None),
        (tdg::MEM_PAGE_ATTR_WR, lock(Operand::Rcx), None),
    ];
    boot(name, "", |options| {
        options.image = paths::image("conform_locks");
        options.module_options = injections(&rules, TIMES);
    })
}

/// Options of the module: each of these leaves answers so, so often.
fn injections(rules: &[(u64, Status, Option<u64>)], times: u32) -> String {
    let word = |(leaf, status, rcx): &(u64, Status, Option<u64>)| {
        let rcx = rcx.map_or(String::new(), |rcx| format!(":{rcx:#x}"));
        format!("inject=tdg.{leaf}:{:#x}:{times}{rcx}", status.0)
    };
    rules.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn busy_cpu() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(|| busy("guest-busy", Status::OPERAND_BUSY))
}

fn busy_servtd() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    let operands = [Operand::Tdr, Operand::OpState, Operand::ServtdBindings, Operand::Rtmr];
    let rules = [tdg::SERVTD_RD, tdg::SERVTD_WR].map(|leaf| {
        operands.map(|operand| (leaf, Status::OPERAND_BUSY.with_operand(operand), None))
    });
    REPORT.get_or_init(|| {
        boot("guest-busy-servtd", "", |options| {
            options.image = paths::image("conform_locks_servtd");
            options.module_options = injections(rules.as_flattened(), 1);
        })
    })
}

#[test]
fn every_guest_leaf_answers_as_documented() {
    assert_conforms(plain(), ENOUGH);
}

#[test]
fn every_guest_leaf_answers_so_where_pending_pages_raise_ve_and_addresses_are_wide() {
    assert_conforms(pending_ve(), ENOUGH);
}

#[test]
fn every_guest_leaf_answers_so_over_large_pages() {
    assert_conforms(large_pages(), ENOUGH);
}

#[test]
fn every_other_qemu_answers_the_same() {
    for (index, qemu) in fixture::more_qemus().iter().enumerate() {
        let report = fixture::boot_on(qemu, &options(&format!("guest-qemu-{index}"), ""));
        assert_conforms(&report, ENOUGH);
        assert_eq!(lines(&report).len(), lines(plain()).len(), "QEMU {}", qemu.version);
    }
}

#[test]
fn a_td_that_asks_about_itself_as_a_service_td_is_answered() {
    assert_conforms(cross_td(), CROSS_TD.rows.len());
}

#[test]
fn a_fault_of_a_target_td_leaves_the_td() {
    let report = boot("guest-cross-td-dies", "", |options| {
        options.image = paths::image("conform_servtd");
    });
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::TD_DIED), "{report:#?}");
    assert!(report.vmm_log.contains("CROSS_TD_TRAP"), "{}", report.vmm_log);
}

#[test]
fn a_busy_leaf_says_so_and_its_function_tries_again_and_gives_up() {
    assert_conforms(busy_cpu(), BUSY.rows.len() * 3);
    assert_conforms(busy_servtd(), BUSY_SERVTD.rows.len());
}

#[test]
fn a_leaf_that_the_host_keeps_busy_is_busy_for_the_guest() {
    let report = busy("guest-busy-host", Status::OPERAND_BUSY_HOST_PRIORITY);
    assert_conforms(&report, BUSY.rows.len() * 3);
}

#[test]
fn a_lock_that_the_host_keeps_leaves_the_td() {
    let lock = Status::OPERAND_BUSY_HOST_PRIORITY.with_operand(Operand::Rtmr);
    let report = boot("guest-busy-timeout", "", |options| {
        options.image = paths::image("conform_exits");
        options.module_options = injections(&[(tdg::MR_RTMR_EXTEND, lock, None)], u32::MAX);
    });
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::TD_DIED), "{report:#?}");
    assert!(report.vmm_log.contains("HOST_PRIORITY_BUSY_TIMEOUT"), "{}", report.vmm_log);
}

/// The payload that makes a call from which there is no way back.
fn boot_exits(test: &str, config: &str) -> Report {
    let report = boot(test, config, |options| options.image = paths::image("conform_exits"));
    assert!(!report.console.contains("FAIL"), "{}", report.console);
    report
}

#[test]
fn an_operand_in_a_pending_page_leaves_the_td() {
    let report = boot_exits("guest-pending-exit", "");
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::TD_DIED), "{report:#?}");
    let page = format!("{UNLISTED_START:#x}");
    let told = report.vmm_log.lines().find(|line| line.starts_with("vmm: td died: "));
    let told = told.unwrap_or_default();
    assert!(told.contains(&page) && told.contains("accept"), "{told}");
}

#[test]
fn attributes_of_a_piece_of_a_larger_page_leave_the_td() {
    let report = boot_exits("guest-piece-exit", ",pages=2m");
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::TIMED_OUT), "{report:#?}");
    assert!(report.vmm_log.contains("vmm: td hung: the same fault"), "{}", report.vmm_log);
}

#[test]
fn every_documented_status_is_seen_or_can_not_be() {
    let reports = [plain(), pending_ve(), large_pages(), cross_td(), busy_cpu(), busy_servtd()];
    let lines: Vec<Line<'_>> = reports.into_iter().flat_map(lines).collect();
    let coverage = Coverage::new(Side::Guest, GUEST, &lines);
    assert_eq!(coverage.problems(), [""; 0]);
    check_document(Side::Guest, &coverage.section(EXITS)).unwrap();
}

#[test]
fn the_td_reads_the_measurement_that_its_image_has() {
    let image = std::fs::read(paths::image("conform")).unwrap();
    let computed = crosscheck::mrtd(&image, PageOrder::Interleaved).unwrap();
    let read = plain().console.lines().find_map(|line| line.strip_prefix("mrtd "));
    assert_eq!(read, Some(computed.as_str()));
}

#[test]
fn the_tests_that_see_td_exits_exist() {
    let source = include_str!("conformance_guest.rs");
    for test in EXITS.iter().filter_map(|exit| exit.seen.ok()) {
        assert!(source.contains(&format!("fn {test}()")), "{test}");
    }
}

/// Every function that `tdcall::guest` has is among those that were called.
#[test]
fn every_typed_guest_function_is_called() {
    let source = std::fs::read_to_string(paths::root().join("tdcall/src/guest/mod.rs")).unwrap();
    let exported = source.lines().filter_map(|line| line.strip_prefix("pub use "));
    let exported: String = exported.filter(|line| !line.starts_with("crate::")).collect();
    let words = exported.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    let is_function = |word: &&str| word.contains('_') && word.chars().all(|c| !c.is_uppercase());
    let lines = lines(plain());
    let mut functions = 0;
    for function in words.filter(is_function) {
        let name = format!("typed {function}");
        assert!(lines.iter().any(|line| line.name == name), "{name}");
        functions += 1;
    }
    assert!(functions >= 20, "the search finds {functions} functions");
}
