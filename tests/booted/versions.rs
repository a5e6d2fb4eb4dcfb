//! Other QEMUs that the tester has: `TDLET_QEMU_EXTRA` names them.

use harness::{Exit, fixture, paths};

#[test]
fn every_other_qemu_shows_the_same() {
    for (index, qemu) in fixture::more_qemus().iter().enumerate() {
        let options = fixture::options(&format!("other-qemu-{index}"), "td");
        let report = fixture::boot_on(qemu, &options);
        let (version, passed) = (qemu.version, Exit::Verdict(abi::verdict::PASSED));
        assert_eq!(report.exit, passed, "QEMU {version}: {report:#?}");
        let plain = fixture::plain_options(&format!("other-qemu-{index}"), &paths::image("td"));
        let report = fixture::boot_on(qemu, &plain);
        let not_a_td = Exit::Verdict(abi::verdict::NOT_A_TRUST_DOMAIN);
        assert_eq!(report.exit, not_a_td, "QEMU {version}: {report:#?}");
    }
}
