//! `cargo xtask` as a user types it, over a fake QEMU.

use std::fs;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use harness::{crosscheck, fixture, paths};
use image::PageOrder;

use crate::fake;

/// Exit code, standard output, standard error.
pub(crate) fn outcome(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// `cargo xtask run` with a fake QEMU that does `body`.
fn run(test: &str, body: &str, more: &[&str]) -> (i32, String, String) {
    let qemu = fake::qemu(test, body);
    outcome(fixture::xtask_run(test).args(["--qemu", &qemu]).args(more).output().unwrap())
}

/// A run that everybody agrees on, if `kernel` is `ve.30=1 tdcall.1=1`.
fn witnesses(kernel: &str) -> String {
    let image = fs::read(paths::image("td")).unwrap();
    let mrtd = crosscheck::mrtd(&image, PageOrder::Interleaved).unwrap();
    format!(
        r#"
        echo 'vmm: mrtd {mrtd}' >"$vmm"; echo 'vmm: reclaimed 9 pages, none left' >>"$vmm"
        echo 'module: counts at vp_info 1 ve.30=5 tdcall.1=1' >"$module"
        echo 'module: counts at vp_info 2 ve.30=6 tdcall.1=2' >>"$module"
        echo '# counts from vp_info to vp_info: {kernel}'; exit 33"#
    )
}

#[test]
fn a_run_on_which_all_agree_passes() {
    fixture::xtask();
    let (code, stdout, stderr) = run("run-passes", &witnesses("ve.30=1 tdcall.1=1"), &[]);
    assert_eq!(code, 0, "{stderr}");
    // Standard output is the console and nothing else.
    assert_eq!(stdout, "# counts from vp_info to vp_info: ve.30=1 tdcall.1=1\n");
    assert!(stderr.contains("kernel = module"), "{stderr}");
    assert!(stderr.contains("reclaimed 9 pages, none left"), "{stderr}");
}

#[test]
fn a_kernel_that_counts_otherwise_fails_the_run_and_is_shown() {
    fixture::xtask();
    let (code, _, stderr) = run("run-differs", &witnesses("ve.30=2 ve.10=7 tdcall.1=1"), &[]);
    assert_eq!(code, 1, "{stderr}");
    let rows: Vec<Vec<&str>> = stderr.lines().map(|row| row.split_whitespace().collect()).collect();
    assert!(rows.contains(&vec!["ve.10", "kernel:", "7", "module:", "0"]), "{stderr}");
    assert!(rows.contains(&vec!["ve.30", "kernel:", "2", "module:", "1"]), "{stderr}");
}

#[test]
fn another_measurement_fails_the_run() {
    fixture::xtask();
    let body = witnesses("ve.30=1 tdcall.1=1").replace("vmm: mrtd ", "vmm: mrtd 00");
    let (code, _, stderr) = run("run-mrtd", &body, &[]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("mrtd"), "{stderr}");
}

#[test]
fn each_verdict_has_an_exit_code_and_a_line_that_names_the_layer() {
    let rows = [
        (35, 1, "kernel at fault"),
        (39, 3, "firmware at fault"),
        (41, 4, "kernel at fault"),
        (43, 5, "kernel at fault"),
        (45, 2, "firmware at fault"),
        (47, 1, "module at fault"),
        (49, 1, "VMM at fault"),
        (1, 2, "QEMU at fault"),
        (0, 1, "module at fault"),
    ];
    for (status, expected, line) in rows {
        let body = format!("echo 'kernel: hello'; echo 'it broke' >&2; exit {status}");
        let (code, _, stderr) = run("run-verdicts", &body, &[]);
        assert_eq!(code, expected, "status {status}: {stderr}");
        assert_eq!(stderr.matches(" at fault").count(), 1, "status {status}: {stderr}");
        assert!(stderr.contains(line), "status {status}: {stderr}");
    }
}

#[test]
fn a_hang_ends_at_the_timeout_with_the_last_words() {
    fixture::xtask();
    let start = Instant::now();
    let body = "echo 'kernel: here I am'; exec sleep 60";
    let (code, _, stderr) = run("run-hangs", body, &["--timeout", "1"]);
    assert_eq!(code, 5, "{stderr}");
    assert!(stderr.contains("kernel: here I am"), "{stderr}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn options_reach_qemu() {
    let body = r#"for word; do echo "$word"; done; exit 39"#;
    let options =
        ["--memory", "128M", "--gpaw", "52", "--attributes", "10000001", "--timeout", "7"];
    let (_, stdout, _) = run("run-options", body, &options);
    let words: Vec<&str> = stdout.lines().collect();
    assert!(words.contains(&"257M"), "{stdout}");
    let config = "name=opt/tdlet/config,string=\
                  memory=134217728,,attributes=0x10000001,,gpaw=52,,timeout=5000";
    assert!(words.contains(&config), "{stdout}");
    let print = [&options[..], &["--print-command"]].concat();
    let (code, printed, _) = run("run-options", body, &print);
    assert_eq!((code, printed.lines().count()), (0, 1));
    assert!(words.iter().all(|word| printed.contains(word)), "{printed}");
}

#[test]
fn wrong_usage_exits_with_2_and_help_with_0() {
    let xtask = |words: &[&str]| outcome(fixture::xtask().args(words).output().unwrap());
    for wrong in [&["fly"][..], &["run", "--memory", "3X"], &["run", "--gpaw", "57"], &[]] {
        let (code, _, stderr) = xtask(wrong);
        assert_eq!(code, 2, "{wrong:?}: {stderr}");
        assert!(!stderr.is_empty(), "{wrong:?}");
    }
    for verb in ["run", "image", "test", "build", "tidy", "ci"] {
        let (code, stdout, _) = xtask(&[verb, "--help"]);
        assert_eq!(code, 0, "{verb}");
        assert!(stdout.contains(&format!("xtask {verb}")), "{verb}: {stdout}");
    }
}

#[test]
fn image_prints_what_it_wrote() {
    fixture::xtask();
    let path = fixture::scratch("image").join("td.fd");
    let output = fixture::xtask().args(["image", "--output"]).arg(&path).output().unwrap();
    let (code, stdout, stderr) = outcome(output);
    assert_eq!(code, 0, "{stderr}");
    let image = fs::read(&path).unwrap();
    assert!(image == fs::read(paths::image("td")).unwrap(), "another image than that of a build");
    assert!(stdout.contains(&format!("{} bytes", image.len())), "{stdout}");
    let sum = outcome(Command::new("sha256sum").arg(&path).output().unwrap()).1;
    assert!(stdout.contains(sum.split(' ').next().unwrap()), "{stdout}");
    let mrtds: Vec<&str> = stdout
        .lines()
        .filter_map(|line| line.starts_with("MRTD").then(|| line.split(' ').next_back())?)
        .collect();
    assert_eq!(mrtds.len(), 2, "{stdout}");
    assert!(mrtds[0] != mrtds[1] && mrtds.iter().all(|mrtd| mrtd.len() == 96), "{stdout}");
}
