//! The default run: `cargo xtask run` passes, the console shows the checks, and every
//! witness agrees.

use harness::fixture;

/// What the console must prove: cause, first bytes of the instruction, exit reason and
/// VMCALL sub-function, which GHCI numbers alike but for MMIO [TDVF 4.4]; none if refused.
const PROVEN: [(&str, &str, &str, &str); 16] = [
    ("CPUID", "0fa2", "10", "0xa"),
    ("OUT 8", "ee", "30", "0x1e"),
    ("IN 8", "ec", "30", "0x1e"),
    ("OUT imm", "e680", "30", "0x1e"),
    ("IN 32", "ed", "30", "0x1e"),
    ("RDMSR", "0f32", "31", "0x1f"),
    ("WRMSR", "0f30", "32", "0x20"),
    ("HLT", "f4", "12", "0xc"),
    ("REP OUT", "f36e", "30", "0x1e"),
    ("INVD", "0f08", "13", "-"),
    ("VMCALL", "0f01c1", "18", "-"),
    ("MWAIT", "0f01c9", "36", "-"),
    ("MOV CR4", "0f22", "28", "-"),
    ("WBINVD", "0f09", "54", "-"),
    ("MMIO W", "", "48", "0x30"),
    ("MMIO R", "", "48", "0x30"),
];

#[test]
fn the_default_run_passes_and_all_witnesses_agree() {
    let output = fixture::run("default-run", &[]);
    let (console, told) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{console}\n{told}");
    assert!(told.contains("computed from the image = measured by the module"), "{told}");
    assert!(told.contains("kernel = module"), "{told}");
    assert!(told.contains("none left"), "{told}");
    for cause in PROVEN {
        assert!(console.lines().any(|line| proves(line, cause)), "{cause:?}:\n{console}");
    }
    assert!(!console.contains("FAIL") && !console.contains("not ok"), "{console}");
}

/// Whether a line of the console is
/// `# ok CAUSE CODE EXIT QUALIFICATION GPA CALL RCX RESULT EXPECTED`.
fn proves(line: &str, (cause, code, reason, call): (&str, &str, &str, &str)) -> bool {
    let Some(rest) = line.strip_prefix("# ok").map(str::trim_start) else { return false };
    let Some(words) = rest.strip_prefix(cause) else { return false };
    let words: Vec<&str> = words.split_whitespace().collect();
    let [bytes, exit, _, _, function, _, result, expected] = words[..] else { return false };
    bytes.starts_with(code) && exit == reason && function == call && result == expected
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
