//! The default run: `cargo xtask run` passes, and every witness agrees.

use harness::fixture;

#[test]
fn the_default_run_passes_and_all_witnesses_agree() {
    let output = fixture::run("default-run", &[]);
    let (console, told) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{console}\n{told}");
    assert!(told.contains("computed from the image = measured by the module"), "{told}");
    assert!(told.contains("kernel = module"), "{told}");
    assert!(told.contains("none left"), "{told}");
    for cause in CAUSES {
        assert!(console.contains(cause), "no proof of {cause}:\n{console}");
    }
}

/// The causes that the kernel must have routed.
const CAUSES: [&str; 6] = ["CPUID", "HLT", "RDMSR", "WRMSR", "I/O", "MMIO"];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
