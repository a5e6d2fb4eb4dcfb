//! Emulated instructions against native ones, in a trust domain, case by case.

use harness::qemu::{DEFAULT, Qemu};
use harness::{Exit, Options, Report, fixture};

/// Boots the payload with QEMU's test device; `plan` is `<seed>:<first>:<count>`.
fn run(test: &str, plan: Option<&str>, options: impl FnOnce(&mut Options)) -> Report {
    let base = std::env::var(fixture::QEMU).unwrap_or_else(|_| DEFAULT.to_owned());
    let plan = plan.map(|plan| format!("-fw_cfg name=opt/tdlet/differ,string={plan}"));
    let command = format!("{base} -device pc-testdev {}", plan.unwrap_or_default());
    let mut chosen = fixture::options(test, "differ");
    chosen.timeout *= 4;
    options(&mut chosen);
    fixture::boot_on(&Qemu::find(&command).unwrap(), &chosen)
}

/// The number before `cases of`.
fn cases(report: &Report) -> Option<u64> {
    let (before, _) = report.console.split_once(" cases of ")?;
    before.rsplit(' ').next()?.parse().ok()
}

#[test]
fn emulated_and_native_instructions_do_the_same() {
    let report = run("differ", None, |_| {});
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{report:#?}");
    assert!(cases(&report).is_some_and(|cases| cases >= 5000), "{report:#?}");
    assert!(report.console.contains("of 93 forms agree"), "{report:#?}");
    assert!(report.console.contains("1500 port accesses agree"), "{report:#?}");
}

#[test]
fn one_case_can_be_run_again_by_its_numbers() {
    let report = run("differ-one", Some("7:4711:1"), |options| options.gpaw = 52);
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{report:#?}");
    assert!(report.console.contains("seed 7 cases 4711 to 4712"), "{report:#?}");
    assert_eq!(cases(&report), Some(1), "{report:#?}");
}

#[test]
fn without_the_test_device_the_payload_says_what_it_wants() {
    let report = fixture::boot(&fixture::options("differ-none", "differ"));
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::CHECK_FAILED), "{report:#?}");
    assert!(report.console.contains("-device pc-testdev"), "{report:#?}");
}
