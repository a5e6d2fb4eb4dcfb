//! The VMM cannot reach into the trust domain: it tries, and is stopped by the module.

use harness::{Exit, Options, fixture};

fn probe(kind: &str) {
    let test = format!("probe-{kind}");
    let options = Options { config: format!("probe={kind}"), ..fixture::options(&test, "td") };
    let report = fixture::boot(&options);
    assert_eq!(report.exit, Exit::Verdict(abi::verdict::VMM_STOPPED), "{report:#?}");
    assert!(report.module_log.contains("module: the VMM touched"), "{}", report.module_log);
}

#[test]
fn the_vmm_is_stopped_when_it_reads_private_memory() {
    probe("read-private");
}

#[test]
fn the_vmm_is_stopped_when_it_writes_private_memory() {
    probe("write-private");
}
