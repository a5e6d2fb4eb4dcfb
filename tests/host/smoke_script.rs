//! `scripts/tdlet-smoke` over a fake QEMU: what it prints, how it ends, and in which shells.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harness::{fixture, paths};

use crate::command_line::outcome;
use crate::deploy::judges::{busybox_program, script, tools};
use crate::hardware;

/// A console on which all goes well: boot's lines come first, lines end as on a serial port.
const GOOD: &str = r"printf 'boot: hello\r\nTAP version 14\r\n1..3\r\n# tdlet\r\nok 1 - detection\r\n'
    printf 'ok 2 - io-8\r\nok 3 - rtmr # SKIP no RTMRs\r\nstray words\r\n'";
/// The same with a check that fails and says why.
const BAD: &str = r"printf 'TAP version 14\n1..3\nok 1 - detection\nnot ok 2 - io-8\n  ---\n'
    printf '  got: 0x5a < 0x5b & more\n  ...\nok 3 - rtmr\n'";

/// The script with a fake QEMU on a host that is ready.
fn command(test: &str, body: &str, more: &[&str]) -> Command {
    fixture::xtask();
    let mut command = script(&["--qemu", &hardware::qemu(test, body)]);
    command.args(more).arg(paths::image("td")).env("TDLET_HOST", hardware::host(test, &[]));
    command
}

fn run(test: &str, body: &str, more: &[&str]) -> (i32, String, String) {
    outcome(command(test, body, more).output().unwrap())
}

#[test]
fn a_pass_is_a_tap_stream_and_nothing_else() {
    let (code, stdout, stderr) = run("script-pass", &format!("{GOOD}; exit 33"), &[]);
    assert_eq!(code, 0, "{stderr}");
    let stream = "TAP version 14\n# boot: hello\n1..3\n# tdlet\nok 1 - detection\nok 2 - io-8\n\
                  ok 3 - rtmr # SKIP no RTMRs\n# stray words\n";
    assert_eq!(stdout, stream);
    assert!(stderr.starts_with("passed: 3 checks in "), "{stderr}");
    assert!(stderr.ends_with("1 skipped\n"), "{stderr}");
}

#[test]
fn each_end_has_its_code_and_names_a_layer() {
    let no_log = "QEMU: x";
    let fatal = "echo 'TDX guest reports fatal error. error code: 0x0 error message:\"panic\"' >&2";
    let rows = [
        (format!("{BAD}; exit 35"), 1, "kernel at fault: 1 of 3 checks failed: io-8; "),
        (format!("{BAD}; exit 33"), 1, "claims to pass, but of 3 checks 3 ran and 1 failed"),
        (format!("{GOOD}; echo 1..4; exit 33"), 1, "of 4 checks 3 ran"),
        ("echo hello; exit 33".to_owned(), 2, "firmware at fault: the image printed no TAP"),
        (format!("{BAD}; echo {no_log} >&2; exit 1"), 2, "QEMU at fault: QEMU failed: QEMU: x; "),
        ("echo 'KVM: no' >&2; exit 1".to_owned(), 2, "KVM at fault: QEMU failed: KVM: no; "),
        ("exit 7".to_owned(), 2, "QEMU at fault: QEMU ended with status 7"),
        ("echo real mode; exit 39".to_owned(), 3, "firmware at fault: not a trust domain"),
        (format!("{GOOD}; exit 41"), 4, "kernel at fault: the trust domain died: the console"),
        (format!("{GOOD}; exit 0"), 4, "kernel at fault: the trust domain was reset"),
        (format!("{GOOD}; {fatal}; exit 0"), 4, "died: error code: 0x0 error message:\"panic\""),
        (
            "echo 'error: kvm run failed Input/output error' >&2; exec sleep 60".to_owned(),
            4,
            "KVM at fault: KVM ended the trust domain: error: kvm run failed",
        ),
        ("exec sleep 60".to_owned(), 5, "KVM at fault: no end within 1 s"),
        ("echo boot: 1; exec sleep 60".to_owned(), 5, "firmware at fault: no end"),
        (format!("{GOOD}; exec sleep 60"), 5, "kernel at fault: no end within 1 s: the console"),
    ];
    for (body, expected, words) in rows {
        let (code, stdout, stderr) = run("script-ends", &body, &["--timeout", "1"]);
        assert_eq!(code, expected, "{body}: {stderr}");
        assert!(stdout.starts_with("TAP version 14\n"), "{body}: {stdout}");
        let cut = expected > 1 || stdout.contains("1..4");
        let bails = stdout.lines().next_back().unwrap_or_default().starts_with("Bail out! ");
        assert_eq!(bails, cut, "{body}: {stdout}");
        let last = stderr.lines().next_back().unwrap_or_default();
        assert!(last.contains(words), "{body}: {last}");
        assert!(last.ends_with(&format!("(exit {expected})")), "{last}");
        assert!(last.contains("; "), "no advice: {last}");
    }
}

#[test]
fn what_cannot_start_is_said_before_it_is_tried() {
    let (code, stdout, stderr) = run("script-no-qemu", "exit 33", &["--qemu", "/nonexistent"]);
    assert_eq!((code, &*stdout), (2, ""));
    assert!(stderr.starts_with("QEMU at fault: no trust domain can be started here; QEMU: "));
    let mut on_other = command("script-other-host", "exit 33", &[]);
    let root = hardware::host("script-other-host", &[("dev/kvm", None)]);
    let (code, _, stderr) = outcome(on_other.env("TDLET_HOST", root).output().unwrap());
    assert!(code == 2 && stderr.starts_with("KVM at fault: "), "{stderr}");
    assert!(stderr.contains("/dev/kvm: it is not there; sudo modprobe"), "{stderr}");
    let calls = [
        (&["--junit"][..], "needs a value"),
        (&["--fly"], "no option --fly"),
        (&["--timeout", "soon", "a"], "whole seconds"),
        (&["/nonexistent"], "cannot read /nonexistent"),
        (&["a", "b"], "one image"),
        (&[], "there is no image"),
    ];
    for (words, complaint) in calls {
        let (code, stdout, stderr) = outcome(script(words).output().unwrap());
        assert_eq!((code, &*stdout), (2, ""), "{words:?}");
        assert!(stderr.contains(complaint), "{words:?}: {stderr}");
    }
    assert_eq!(outcome(script(&["--help"]).output().unwrap()).0, 0);
}

/// What Python's XML parser finds: the attributes of the suite, then the kind and message of
/// each case.
const READ_JUNIT: &str = "
import sys
from lxml import etree
(suite,) = etree.parse(sys.argv[1]).getroot()
print(*[suite.get(key) for key in ('tests', 'failures', 'errors', 'skipped')])
for case in suite:
    print(case.get('name'), *[(kind.tag, kind.get('message'), kind.text) for kind in case])
";

fn junit(body: &str) -> Vec<String> {
    let file = fixture::scratch("script-junit").join("junit.xml");
    run("script-junit", body, &["--timeout", "1", "--junit", &file.to_string_lossy()]);
    let mut python = Command::new(tools().join("venv/bin/python"));
    let (code, stdout, stderr) =
        outcome(python.args(["-c", READ_JUNIT]).arg(file).output().unwrap());
    assert_eq!(code, 0, "{stderr}");
    stdout.lines().map(str::to_owned).collect()
}

#[test]
fn junit_has_every_check_and_why_it_did_not_pass() {
    assert_eq!(
        junit(&format!("{GOOD}; exit 33")),
        ["3 0 0 1", "detection", "io-8", "rtmr ('skipped', 'no RTMRs', None)"]
    );
    assert_eq!(
        junit(&format!("{BAD}; exit 35")),
        [
            "3 1 0 0",
            "detection",
            "io-8 ('failure', 'the check failed', 'got: 0x5a < 0x5b & more')",
            "rtmr"
        ]
    );
    // A death is an error, and so is what did not run.
    let died = junit("printf 'TAP version 14\n1..2\nok 1 - a\n'; exit 41");
    assert_eq!(died[..2], ["2 0 2 0".replace("2 0 2", "3 0 2"), "a".to_owned()]);
    assert_eq!(died[2], "check 2 ('error', 'did not run', None)");
    assert!(died[3].starts_with("verdict ('error', 'kernel at fault: the trust domain died"));
    assert_eq!(junit("exit 7").len(), 2);
}

/// A folder for `PATH` on which nothing is but busybox.
fn busybox_path() -> PathBuf {
    let folder = fixture::scratch("script-busybox").join("bin");
    fs::create_dir_all(&folder).unwrap();
    let install = ["--install", "-s"];
    assert!(Command::new(busybox_program()).args(install).arg(&folder).status().unwrap().success());
    folder
}

#[test]
fn other_shells_and_small_systems_do_the_same() {
    let bin = busybox_path();
    let shells: [(&Path, &[&str], Option<&Path>); 3] = [
        (Path::new("dash"), &[], None),
        (Path::new("bash"), &["--posix"], None),
        (&busybox_program(), &["sh"], Some(&bin)),
    ];
    for (program, arguments, path) in shells {
        for (body, expected) in [(GOOD, 33), (BAD, 35), ("exec sleep 60 #", 0)] {
            let body = format!("{body}; exit {expected}");
            let reference = command("script-shells", &body, &["--timeout", "1"]);
            let mut shell = Command::new(program);
            shell.args(arguments).args(reference.get_args());
            shell.envs(reference.get_envs().filter_map(|(key, value)| Some((key, value?))));
            if let Some(path) = path {
                shell.env("PATH", path);
            }
            let (code, stdout, stderr) = outcome(shell.output().unwrap());
            let (same, stream, _) = run("script-shells", &body, &["--timeout", "1"]);
            assert_eq!((code, stdout), (same, stream), "{program:?}: {stderr}");
        }
    }
}

#[test]
fn a_script_that_is_ended_takes_qemu_along() {
    let pid = fixture::scratch("script-ended").join("pid");
    drop(fs::remove_file(&pid));
    let body = format!("echo $$ >{}; exec sleep 60", pid.display());
    let mut child = command("script-ended", &body, &[])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let qemu = loop {
        let text = fs::read_to_string(&pid).unwrap_or_default();
        if text.ends_with('\n') {
            break text.trim().to_owned();
        }
        assert!(Instant::now() < deadline, "QEMU does not start");
        std::thread::sleep(Duration::from_millis(10));
    };
    let status = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(status.success());
    child.wait().unwrap();
    while Path::new("/proc").join(&qemu).exists() {
        assert!(Instant::now() < deadline, "QEMU {qemu} outlives the script");
        std::thread::sleep(Duration::from_millis(10));
    }
}
