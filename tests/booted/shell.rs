//! The shell through a real terminal: every command, completion, and input that nobody means.

use harness::fixture;
use rexpect::session::{PtySession, spawn_command};

/// Milliseconds until an answer must be there: another boot may be building or running.
const PATIENCE_MS: u64 = 120_000;
const PROMPT: &str = "td> ";

/// A shell whose prompt is there.
fn shell(test: &str) -> PtySession {
    let mut command = fixture::xtask_run(test);
    command.args(["--shell", "--timeout", "300"]);
    if let Ok(qemu) = std::env::var(fixture::QEMU) {
        command.args(["--qemu", &qemu]);
    }
    let mut shell = spawn_command(command, Some(PATIENCE_MS)).expect("a terminal");
    shell.exp_string("help lists the commands").expect("the shell begins");
    shell.exp_string(PROMPT).expect("a prompt");
    shell
}

/// Types `keys` and gives what comes before the next prompt.
fn answer(shell: &mut PtySession, keys: &str) -> String {
    shell.send(keys).and_then(|_| shell.flush()).expect("the terminal takes it");
    // What is typed comes back before the line ends.
    shell.exp_string("\n").expect("the echo");
    shell.exp_string(PROMPT).unwrap_or_else(|error| panic!("{keys:?}: {error}"))
}

/// Ends the run, which must pass.
fn power_off(shell: &mut PtySession) {
    shell.send("poweroff\r").and_then(|_| shell.flush()).expect("the terminal takes it");
    shell.exp_string("passed in").expect("a verdict");
    shell.exp_string("none left").expect("the witnesses");
}

/// What is typed, and what must be in the answer.
const COMMANDS: [(&str, &[&str]); 22] = [
    ("help\r", &["poweroff", "RDMSR", "peek"]),
    ("help peek\r", &["reads memory or a device"]),
    ("td\r", &["attributes  0x10000000", "48 bits", "MHz"]),
    ("cpuid 0x40000000\r", &["KVMK", "#VE", "VMCALL 0xa"]),
    ("cpuid 0x21\r", &["Inte", "no #VE"]),
    ("msr 0x1b\r", &["0x00000000fee00d00", "RDMSR"]),
    ("msr 0x123\r", &["#GP"]),
    ("msr 0x832 0x100e1\r", &["msr 0x832 = 0x100e1"]),
    ("in 0x3fd\r", &["0x60", "VMCALL 0x1e"]),
    ("out 0x80 0x5a\r", &["I/O", "VMCALL 0x1e"]),
    ("poke 0xfec00000 1\r", &["EPT violation", "VMCALL 0x30"]),
    ("peek 0xfec00010\r", &["0x170020", "gpa 0x8000fec00010"]),
    ("peek 0x810000 8\r", &["0x"]),
    ("poke 0x100000 0\r", &["only a device's memory"]),
    ("ve\r", &["EPT violation", "APIC write"]),
    ("calls\r", &["TDG.VP.VEINFO.GET", "slowest #VE"]),
    ("mem\r", &["Bootloader", "KiB of memory"]),
    ("report\r", &["MRTD", "RTMR3", "genuine"]),
    ("bench 5\r", &["OUT by #VE"]),
    ("test io-8\r", &["ok 1 - io-8", "Passed"]),
    ("history\r", &["help peek", "bench 5"]),
    ("nonsense\r", &["nonsense is no command"]),
];

#[test]
fn every_command_answers() {
    let mut shell = shell("shell-commands");
    for (keys, expected) in COMMANDS {
        let text = answer(&mut shell, keys);
        for words in expected {
            assert!(text.contains(words), "{keys:?} without {words:?}: {text}");
        }
    }
    power_off(&mut shell);
}

#[test]
fn no_input_ends_the_shell() {
    let mut shell = shell("shell-noise");
    let text = answer(&mut shell, &("x".repeat(10_000) + "\r"));
    assert!(text.contains("at most 256 characters"), "{text}");
    // Ctrl-C drops the line; the run goes on.
    let text = answer(&mut shell, "half a li\x03");
    assert!(!text.contains("no command"), "{text}");
    // Bytes that are no text, escape sequences that never end, control characters.
    let noise: String = (0x80..0x100).filter_map(char::from_u32).collect();
    answer(&mut shell, &(noise + "\x1B[999999999999;\x1B[Z\x1BOP\0\x07\x0E\x7F\x7F\r"));
    for bad in [
        "in\r",
        "in 70000\r",
        "in -1\r",
        "cpuid zz\r",
        "peek 0xffffffffffffffff 8\r",
        "peek 1 8\r",
        "peek 0 3\r",
        "poke 0xfec00000\r",
        "out 1 2 3 4\r",
        "td x\r",
        "msr 1 2 3\r",
    ] {
        let text = answer(&mut shell, bad);
        assert!(!text.contains("panic"), "{bad:?}: {text}");
    }
    // Tab completes a command and the name of a check; Up brings a line back.
    let text = answer(&mut shell, "te\tdete\t\r");
    assert!(text.contains("ok 1 - detection"), "{text}");
    let text = answer(&mut shell, "\x1B[A\r");
    assert!(text.contains("ok 1 - detection"), "{text}");
    power_off(&mut shell);
}

#[test]
fn a_panic_that_is_asked_for_is_a_death() {
    let mut shell = shell("shell-panic");
    shell.send("panic\r").and_then(|_| shell.flush()).expect("the terminal takes it");
    shell.exp_string("asked for in the shell").expect("the panic's words");
    shell.exp_string("(exit 4").expect("a verdict");
}

#[test]
fn without_a_terminal_the_checks_are_made() {
    let output = fixture::run("shell-no-terminal", &["--shell"]);
    let console = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(console.contains("TAP version 14"), "{console}");
}
