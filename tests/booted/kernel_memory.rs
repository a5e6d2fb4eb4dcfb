//! The kernel's memory: what is mapped how, and where it ends.

use harness::{Exit, Report, fixture};

fn boot(payload: &str) -> Report {
    fixture::boot(&fixture::options(&format!("memory-{payload}"), payload))
}

/// The report of a payload that dies, and whose death the VMM hears of from the kernel.
fn last_words(payload: &str) -> (Report, String) {
    let report = boot(payload);
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::TD_DIED), "{report:#?}");
    assert!(!report.console.contains("FAIL"), "{}", report.console);
    assert!(!report.vmm_log.contains("td died"), "{}", report.vmm_log);
    let words = report.vmm_log.lines().find_map(|line| line.split("fatal error from TD: ").nth(1));
    let words = words.unwrap_or_default().to_owned();
    (report, words)
}

#[test]
fn no_page_is_writable_and_executable_and_every_stack_has_a_guard_page() {
    let report = boot("mappings");
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::PASSED), "{report:#?}");
    assert!(report.console.contains("W^X true, enforced true, guarded true"), "{report:#?}");
}

#[test]
fn a_stack_that_overflows_says_so() {
    for (payload, file) in [("stack_overflow", "traps"), ("stack_overflow_ve", "traps")] {
        let (report, words) = last_words(payload);
        assert!(words.starts_with(&format!("panic at kernel/src/{file}.rs:")), "{report:#?}");
        assert!(words.contains(": stack overflow: "), "{report:#?}");
        assert!(report.console.contains("hit the guard page of the main stack at"), "{report:#?}");
    }
}

#[test]
fn memory_that_ends_is_an_error_value_or_a_panic_with_numbers() {
    let (report, words) = last_words("out_of_memory");
    let error = "out of memory: 1073741824 bytes asked for, ";
    assert!(report.console.contains(&format!("# {error}")), "{report:#?}");
    assert!(report.console.contains("true true true true true\n"), "{report:#?}");
    assert!(report.console.contains(&format!("\npanic: {error}")), "{report:#?}");
    // At first most of the memory waits to be accepted, in the end none.
    assert!(!report.console.contains(" usable, 0 unaccepted, 0 in use"), "{report:#?}");
    assert_eq!(report.console.matches(", of these 0 unaccepted\n").count(), 1, "{report:#?}");
    assert!(words.starts_with(&format!("panic: {error}")), "{report:#?}");
}

#[test]
fn memory_can_be_accepted_in_idle_times() {
    let output = fixture::run("memory-background", &["--append", "accept=background"]);
    let console = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(accepted_by_the_kernel(&console) >= 512, "{console}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("kernel = module"), "{output:?}");
}

/// TDG.MEM.PAGE.ACCEPT calls between the first and the last TDG.VP.INFO.
fn accepted_by_the_kernel(console: &str) -> u64 {
    let counts = console.lines().find(|line| line.contains("counts from vp_info")).unwrap();
    abi::Counts::parse(counts).tdcall(abi::leaf::tdg::MEM_PAGE_ACCEPT)
}
