//! SEAMCALL that reaches no module: each way has its own fault, message and exit code.

use harness::verdict::{self, Layer};
use harness::{Exit, Options, Report, fixture};

fn on_module(test: &str, module_options: &str) -> Report {
    let options = fixture::options(test, "td");
    fixture::boot(&Options { module_options: module_options.to_owned(), ..options })
}

/// The run ended at the first SEAMCALL, with these words of the VMM.
fn ended_with(report: &Report, words: &str) {
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::NO_MODULE), "{report:#?}");
    let errors: Vec<_> =
        report.vmm_log.lines().filter(|line| line.starts_with("vmm: error: ")).collect();
    assert!(errors.len() == 1 && errors[0].contains(words), "{errors:?}");
    let judgement = verdict::judge(report);
    assert_eq!((judgement.code, judgement.layer), (verdict::REFUSED, Some(Layer::Module)));
    assert!(judgement.text.contains(words), "{judgement:?}");
}

#[test]
fn on_a_cpu_without_seam_it_is_undefined() {
    let report = fixture::boot(&fixture::vmm_alone("seamcall-no-seam"));
    ended_with(&report, "there is none (SEAMCALL raised #UD, the CPU knows no SEAM)");
    assert_eq!(report.module_log, "");
}

#[test]
fn outside_vmx_operation_it_is_undefined() {
    let report = on_module("seamcall-no-vmx", "vmx=off");
    ended_with(&report, "SEAMCALL raised #UD outside VMX operation");
    assert!(report.vmm_log.contains("IA32_FEATURE_CONTROL is 0x1"), "{}", report.vmm_log);
}

#[test]
fn where_tdx_is_off_it_is_a_protection_fault() {
    ended_with(&on_module("seamcall-gp", "seamcall=gp"), "SEAMCALL raised #GP): TDX is off");
}

#[test]
fn without_a_module_it_fails() {
    let report = on_module("seamcall-fail", "seamcall=fail");
    ended_with(&report, "not loaded, or shut down (SEAMCALL ended with VMfailInvalid)");
}

#[test]
fn xtask_tells_them_apart_too() {
    for (option, words) in [("seamcall=gp", "#GP"), ("seamcall=fail", "VMfailInvalid")] {
        let output = fixture::run("seamcall-xtask", &["--module-options", option]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(verdict::REFUSED.into()), "{option}: {told}");
        assert!(told.contains("module") && told.contains(words), "{option}: {told}");
    }
}

#[test]
fn an_unknown_option_of_the_module_is_named() {
    let report = on_module("module-option", "seamcall=never");
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::EMULATOR_FAILED), "{report:#?}");
    let judgement = verdict::judge(&report);
    assert!(judgement.text.contains("no such option: seamcall=never"), "{judgement:?}");
}
