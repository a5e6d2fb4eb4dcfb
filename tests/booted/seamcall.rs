//! SEAMCALL that reaches no module: each way has its own fault, message and exit code.

use harness::verdict::{self, Layer};
use harness::{Exit, Machine, Options, Report, fixture, paths};

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

/// What `vmx_operation` says, step by step; `{}` is SEAMCALL in VMX operation and `{S}` a call
/// of the P-SEAMLDR there.
const STEPS: [&str; 15] = [
    "SEAMCALL out of reset: SEAMCALL raised #UD",
    "VMXON without CR4.VMXE: fault 6",
    "CR4.VMXE: done",
    "VMXON off a page boundary: VMfailInvalid",
    "VMXON without the revision: VMfailInvalid",
    "SEAMCALL after them: SEAMCALL raised #UD",
    "VMXON: done",
    "VMXON again: VMfailInvalid",
    "SEAMCALL in VMX operation: {}",
    "SEAMLDR in VMX operation: {S}",
    "CR4.VMXE cleared: fault 13",
    "VMXOFF: done",
    "SEAMCALL after VMXOFF: SEAMCALL raised #UD",
    "VMXOFF again: fault 6",
    "CR4.VMXE cleared then: done",
];
/// Those of them that say the same where QEMU skips VMXON: see docs/spec.md, SVM B1.25.
const WITHOUT_VMXON: [usize; 7] = [0, 2, 8, 9, 12, 13, 14];

#[test]
fn it_works_from_vmxon_to_vmxoff() {
    const FAILS: &str = "SEAMCALL VMfailInvalid";
    const PROTECTS: &str = "SEAMCALL raised #GP";
    for (words, keys, answer, seamldr) in [
        ("", 32, "SUCCESS", FAILS),
        ("seamcall=fail", 32, FAILS, FAILS),
        ("seamcall=gp", 0, PROTECTS, PROTECTS),
    ] {
        let (module, vmm) = (paths::bare("module"), paths::bare("vmx_operation"));
        let machine = Machine::Emulator { module, vmm };
        let options = fixture::options("vmx-operation", "td");
        let module_options = words.to_owned();
        let report = fixture::boot(&Options { machine, module_options, ..options });
        assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{report:#?}");
        let lines = report.vmm_log.lines().filter_map(|line| line.strip_prefix("vmm: vmx: "));
        let lines: Vec<_> = lines.collect();
        let platform = format!("cpuid true, feature control 0x5, private keys {keys}");
        let steps = STEPS.map(|step| step.replace("{}", answer).replace("{S}", seamldr));
        assert_eq!((lines[0], lines.len()), (&*platform, 1 + STEPS.len()), "{lines:#?}");
        let skips_vmxon = lines[2].ends_with("skipped");
        for (index, (line, step)) in lines[1..].iter().zip(&steps).enumerate() {
            let says_so = !skips_vmxon || WITHOUT_VMXON.contains(&index);
            assert!(!says_so || line == step, "{words}: {line}, not {step}");
        }
    }
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
