//! The way to TDX hardware, on machines that have none: QEMU's command line as QEMU documents
//! it and as a QEMU with TDX reads it, and what `doctor` and `--tdx` say of a host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{Machine, Options, command_line, fixture, paths};

use crate::command_line::outcome;
use crate::deploy::judges::{script, tools};
use crate::fake;

/// The properties of the object `tdx-guest`. [TDVF 3.2]
const OBJECT: [&str; 7] = [
    "id",
    "attributes",
    "sept-ve-disable",
    "mrconfigid",
    "mrowner",
    "mrownerconfig",
    "quote-generation-socket",
];
/// What a machine that is a trust domain may be told. [TDVF 3.2, 3.3]
const MACHINE: [&str; 4] =
    ["kernel-irqchip=split", "confidential-guest-support=tdx0", "memory-backend=mem0", "hpet=off"];

/// The command line for a TDX host, in words.
fn words(attributes: u64) -> Vec<String> {
    let options = fixture::options("hardware", "td");
    let line = command_line(&Options { machine: Machine::Kvm, attributes, ..options });
    line.into_iter().map(|word| word.into_string().unwrap()).collect()
}

/// The value of an option, cut at its commas.
fn value<'a>(words: &'a [String], option: &str) -> Vec<&'a str> {
    let at = words.iter().position(|word| word == option).expect(option);
    words[at + 1].split(',').collect()
}

#[test]
fn the_command_line_keeps_to_what_qemu_documents() {
    for attributes in [0, 1 << 28, 1 << 28 | 1 << 30] {
        let words = words(attributes);
        let object = value(&words, "-object");
        assert_eq!(object[..2], ["tdx-guest", "id=tdx0"]);
        let keys: Vec<&str> = object[1..].iter().filter_map(|p| p.split('=').next()).collect();
        assert!(keys.iter().all(|key| OBJECT.contains(key)), "{keys:?}");
        let machine = value(&words, "-machine");
        assert_eq!(machine[0], "q35");
        assert!(machine[1..].iter().all(|word| MACHINE.contains(word)), "{machine:?}");
        // Named CPU models are refused, and the image is RAM: no pflash.
        assert_eq!(value(&words, "-cpu"), ["host"]);
        assert_eq!(value(&words, "-accel"), ["kvm"]);
        assert_eq!(value(&words, "-bios").len(), 1);
        let never = ["-pflash", "-drive", "-kernel", "-initrd", "-append"];
        assert!(!words.iter().any(|word| never.contains(&word.as_str())), "{words:?}");
    }
}

/// What a QEMU with TDX says to a command line. It never gets far on a machine without TDX;
/// on one with TDX it is told to stop at once.
fn said(words: &[String]) -> String {
    let mut qemu = Command::new(tools().join("qemu-system-x86_64"));
    qemu.args(words).args(["-action", "shutdown=poweroff", "-monitor", "none"]);
    let mut limited = Command::new("timeout");
    limited.arg("20").arg(qemu.get_program()).args(qemu.get_args());
    String::from_utf8(fixture::in_slot(|| limited.output().unwrap()).stderr).unwrap()
}

/// Whether QEMU understood every option and gave up for want of TDX, or did not give up.
fn understood(stderr: &str) -> bool {
    let reasons = ["vm-type TDX not supported by KVM", "failed to initialize kvm"];
    stderr.is_empty() || reasons.iter().any(|reason| stderr.contains(reason))
}

#[test]
fn a_qemu_with_tdx_understands_the_command_line() {
    fixture::xtask();
    for attributes in [0, 1 << 28, 1 << 28 | 1 << 30] {
        let stderr = said(&words(attributes));
        assert!(understood(&stderr), "{attributes:#x}: {stderr}");
    }
    let broken = [
        ("sept-ve-disable=true", "sept-ve-disble=true", "Invalid parameter 'sept-ve-disble'"),
        ("sept-ve-disable=true", "sept-ve-disable=maybe", "'sept-ve-disable' expects"),
        ("tdx-guest,", "tdx-gast,", "tdx-gast"),
        ("kernel-irqchip=split", "kernel-irqchip=spilt", "does not accept value 'spilt'"),
        ("support=tdx0", "support=tdx1", "'tdx1' not found"),
        ("hpet=off", "hpett=off", "hpett"),
        ("-no-reboot", "-no-rebot", "invalid option"),
    ];
    for (from, to, word) in broken {
        let words: Vec<String> = words(1 << 28).iter().map(|w| w.replace(from, to)).collect();
        let stderr = said(&words);
        assert!(!understood(&stderr) && stderr.contains(word), "{to}: {stderr}");
    }
}

/// A folder with the files of a host that is ready for trust domains, but for `changes`: a path
/// and its text, or nothing where it is not there.
pub(crate) fn host(test: &str, changes: &[(&str, Option<&str>)]) -> PathBuf {
    let root = fixture::scratch(test).join("host");
    if root.exists() {
        fs::remove_dir_all(&root).unwrap();
    }
    let flags = "flags\t\t: fpu vmx tdx_host_platform";
    let cpu = format!("vendor_id\t: GenuineIntel\nmodel name\t: A  Xeon\n{flags}\n");
    let ready = [
        ("proc/cpuinfo", &*cpu),
        ("proc/sys/kernel/osrelease", "6.16.3-tdx\n"),
        ("proc/cmdline", "ro nohibernate kvm_intel.tdx=1\n"),
        ("sys/power/disk", "[disabled]\n"),
        ("sys/module/kvm_intel/parameters/tdx", "Y\n"),
        ("dev/kvm", ""),
    ];
    let ready = ready.iter().map(|(path, text)| (*path, Some(*text)));
    for (path, text) in ready.chain(changes.iter().copied()) {
        let path = root.join(path);
        match text {
            Some(text) => {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            None if path.is_dir() => fs::remove_dir_all(path).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
    }
    root
}

/// A fake QEMU with TDX that does `body`.
pub(crate) fn qemu(test: &str, body: &str) -> String {
    let help = "[ \"$1 $2\" = '-object help' ] && { echo '  tdx-guest'; exit 0; }";
    fake::versioned(test, "10.1.0", &format!("{help}\n{body}"))
}

#[test]
fn the_script_and_xtask_start_the_same_qemu() {
    fixture::xtask();
    for name in ["td.fd", "it's $HOME,\t\"a\" file.fd"] {
        let image = fixture::scratch("same-command").join(name);
        fs::copy(paths::image("td"), &image).unwrap();
        let mut xtask = fixture::xtask();
        let xtask = xtask.args(["run", "--tdx", "--print-command", "--image"]).arg(&image);
        let xtask = outcome(xtask.output().unwrap());
        let script = outcome(script(&["--print-command"]).arg(&image).output().unwrap());
        assert_eq!(xtask, script);
        assert_eq!(xtask.0, 0, "{}", xtask.2);
        assert!(
            xtask.1.contains(" -object tdx-guest,id=tdx0,sept-ve-disable=true "),
            "{}",
            xtask.1
        );
    }
}

/// What `run --tdx` says on a host that is not ready.
fn refusal(root: &Path, qemu: &str) -> String {
    let mut xtask = fixture::xtask();
    xtask.args(["run", "--tdx", "--qemu", qemu]).env("TDLET_HOST", root);
    outcome(xtask.output().unwrap()).2.trim_end().to_owned()
}

/// What the script says there, without its exit code.
fn refusal_of_script(root: &Path, qemu: &str) -> String {
    let mut script = script(&["--qemu", qemu]);
    script.arg(paths::image("td")).env("TDLET_HOST", root);
    outcome(script.output().unwrap()).2.trim_end().replace(" (exit 2)", "")
}

#[test]
fn the_script_and_xtask_say_the_same_of_a_host() {
    let intel = "vendor_id\t: GenuineIntel\nflags\t: vmx\n";
    let off = [("proc/cpuinfo", Some(intel)), ("sys/module/kvm_intel/parameters/tdx", Some("N\n"))];
    let with = |more: &[(&'static str, Option<&'static str>)]| [&off[..], more].concat();
    let hosts = [
        (0, vec![]),
        (2, off.to_vec()),
        (2, with(&[("proc/cmdline", Some("ro\n"))])),
        (2, with(&[("proc/cmdline", Some("kvm_intel.tdx=0 kvm_intel.tdx\n"))])),
        (2, with(&[("proc/sys/kernel/osrelease", Some("6.8.0-31-generic\n"))])),
        (2, with(&[("sys/power/disk", Some("[platform] shutdown\n"))])),
        (2, with(&[("sys/power/disk", None)])),
        (2, with(&[("sys/module/kvm_intel/parameters", None)])),
        (2, with(&[("proc/cpuinfo", Some("vendor_id : AuthenticAMD\nflags : svm\n"))])),
        (2, with(&[("proc/cpuinfo", Some("vendor_id: GenuineIntel\nflags: vmx hypervisor\n"))])),
        (2, vec![("proc/cpuinfo", None)]),
        (2, vec![("proc/sys/kernel/osrelease", None)]),
        (2, vec![("proc/sys/kernel/osrelease", Some("7\n"))]),
        (2, vec![("sys/module/kvm_intel", None)]),
        (2, vec![("dev/kvm", None)]),
    ];
    let good = qemu("same-doctor", "exit 33");
    let old = fake::versioned("same-doctor-old", "10.0.9", "exit 33");
    let bare = fake::versioned("same-doctor-bare", "11.0.0", "exit 0");
    let qemus = [(2, &*old), (2, &*bare), (2, "/nonexistent"), (2, "echo 7")];
    let rows = hosts.iter().map(|(code, host)| (*code, host.clone(), &*good));
    let rows = rows.chain(qemus.map(|(code, qemu)| (code, vec![], qemu)));
    for (expected, changes, qemu) in rows {
        let root = host("same-doctor", &changes);
        let mut xtask = fixture::xtask();
        let xtask = xtask.args(["doctor", "--qemu", qemu]).env("TDLET_HOST", &root);
        let (code, stdout, _) = outcome(xtask.output().unwrap());
        let mut script = script(&["--doctor", "--qemu", qemu]);
        let (same, said, _) = outcome(script.env("TDLET_HOST", &root).output().unwrap());
        assert_eq!((code, same), (expected, expected), "{changes:?} {qemu}: {stdout}{said}");
        // The last line names the command that was called.
        let lines = |text: &str| text.lines().take(9).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(lines(&stdout), lines(&said), "{changes:?} {qemu}");
        assert_eq!(lines(&stdout).len(), 9);
        if expected != 0 {
            assert_eq!(refusal(&root, qemu), format!("error: {}", refusal_of_script(&root, qemu)));
        }
    }
}

/// `cargo xtask run` on a host.
fn run(test: &str, changes: &[(&str, Option<&str>)], qemu: &str, more: &[&str]) -> (i32, String) {
    let mut command = fixture::xtask();
    command.args(["run", "--qemu", qemu, "--logs"]).arg(fixture::scratch(test)).args(more);
    command.arg("--image").arg(paths::image("td")).env("TDLET_HOST", host(test, changes));
    let (code, stdout, stderr) = outcome(command.output().unwrap());
    (code, stdout + &stderr)
}

#[test]
fn hardware_is_used_where_it_is_and_required_on_demand() {
    let test = "run-tdx";
    let qemu = qemu(test, "echo \"$*\"; exit 33");
    for more in [&[][..], &["--tdx"]] {
        let (code, said) = run(test, &[], &qemu, more);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("-accel kvm") && said.contains("on TDX hardware"), "{said}");
    }
    let (_, said) = run(test, &[], &qemu, &["--emulator"]);
    assert!(!said.contains("-accel kvm"), "{said}");
    let (code, said) = run(test, &[("dev/kvm", None)], &qemu, &["--tdx"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("/dev/kvm: it is not there; sudo modprobe kvm_intel"), "{said}");
    let (_, said) = run(test, &[("dev/kvm", None)], &qemu, &[]);
    assert!(!said.contains("-accel kvm"), "{said}");
    let (code, said) = run(test, &[], &qemu, &["--tdx", "--emulator"]);
    assert!(code == 2 && said.contains("exclude each other"), "{said}");
}

#[test]
fn the_guide_explains_every_line_of_the_doctor_and_takes_five_commands() {
    let guide = fs::read_to_string(paths::root().join("docs/hardware.md")).unwrap();
    let mut script = script(&["--doctor"]);
    let (_, said, _) = outcome(script.env("TDLET_HOST", host("guide", &[])).output().unwrap());
    for line in said.lines().take(9) {
        let name = line[13..26].trim();
        assert!(guide.contains(&format!("| `{name}` |")), "{name}");
    }
    let commands = guide.lines().filter(|line| line.starts_with("$ ")).count();
    assert_eq!(commands, 5);
    for code in 0..=5 {
        assert!(guide.contains(&format!("| {code} | ")), "exit code {code}");
    }
}
