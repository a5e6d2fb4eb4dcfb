//! `scripts/tdlet-smoke` with the true stream of the kernel: a QEMU that starts the emulator
//! whatever it is told.

use std::fs;
use std::process::Command;

use harness::{fixture, paths};

/// The files of a host that is ready for trust domains.
const HOST: [(&str, &str); 4] = [
    ("proc/cpuinfo", "vendor_id : GenuineIntel\nflags : vmx\n"),
    ("proc/sys/kernel/osrelease", "6.16.0\n"),
    ("sys/module/kvm_intel/parameters/tdx", "Y\n"),
    ("dev/kvm", ""),
];

#[test]
fn the_script_relays_the_kernels_stream_and_believes_it() {
    let folder = fixture::scratch("script-boots");
    for (path, text) in HOST {
        let path = folder.join("host").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let emulator = fixture::run("script-boots", &["--print-command"]).stdout;
    let emulator = String::from_utf8(emulator).unwrap();
    let qemu = folder.join("qemu.sh");
    let text = format!(
        "case \"$1\" in --version) echo QEMU emulator version 10.1.0; exit;;\n\
         -object) echo tdx-guest; exit;; esac\nexec {emulator}"
    );
    fs::write(&qemu, text).unwrap();
    let mut script = Command::new("sh");
    script.arg(paths::root().join("scripts/tdlet-smoke")).arg("--qemu");
    script.arg(format!("sh {}", qemu.display())).arg(paths::image("td"));
    script.env("TDLET_HOST", folder.join("host"));
    let output = fixture::in_slot(|| script.output().unwrap());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.starts_with("passed: "), "{stderr}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let mut lines = stdout.lines();
    assert_eq!(lines.next(), Some("TAP version 14"));
    assert!(lines.next().is_some_and(|line| line.starts_with("# boot: ")), "{stdout}");
    let (points, others): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with("ok "));
    assert!(points.len() >= 30, "{stdout}");
    let plan = format!("1..{}", points.len());
    assert!(others.iter().all(|line| line.starts_with('#') || *line == plan), "{stdout}");
}
