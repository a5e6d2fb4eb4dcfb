//! No QEMU, the wrong one, and how one is installed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use harness::fixture;

use crate::command_line::outcome;
use crate::fake;

/// What a user must type where xtask may not.
const INSTALL: &str =
    "as root, run: apt-get update && apt-get install -y --no-install-recommends qemu-system-x86";

fn run_on(test: &str, qemu: &str) -> (i32, String, String) {
    outcome(fixture::xtask_run(test).args(["--qemu", qemu]).output().unwrap())
}

#[test]
fn a_qemu_that_is_not_there_is_answered_with_the_command() {
    let (code, _, stderr) = run_on("run-missing", "/nonexistent");
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains(INSTALL), "{stderr}");
}

#[test]
fn without_qemu_and_without_root_nothing_is_installed() {
    fixture::xtask();
    // A copy that anybody may execute, and a PATH without QEMU, sudo and apt-get.
    let folder = std::env::temp_dir().join(format!("tdlet-no-qemu-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let copy = folder.join("xtask");
    fs::copy(fixture::xtask().get_program(), &copy).unwrap();
    let mut command = Command::new(&copy);
    command.args(["run", "--emulator"]).env("PATH", "/nonexistent").current_dir("/");
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        command.uid(65534);
    }
    let (code, _, stderr) = outcome(command.output().unwrap());
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains(INSTALL), "{stderr}");
    assert!(!stderr.contains("installing"), "{stderr}");
}

#[test]
fn an_old_qemu_is_refused() {
    let (code, _, stderr) = run_on("run-old", &fake::versioned("run-old", "6.2.0", "exit 33"));
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("QEMU 6.2.0; tdlet needs 7.2.15"), "{stderr}");
}

/// A folder for `PATH` with the commands of a shell, a sudo that asks nothing, and an
/// apt-get that writes down what it was told and installs a fake QEMU.
fn path_with_apt_get(folder: &Path) {
    if folder.exists() {
        fs::remove_dir_all(folder).unwrap();
    }
    fs::create_dir_all(folder).unwrap();
    for tool in ["sh", "env", "cat", "chmod", "true"] {
        symlink(Path::new("/usr/bin").join(tool), folder.join(tool)).unwrap();
    }
    let here = folder.display();
    executable(&folder.join("sudo"), "#!/bin/sh\nshift; exec \"$@\"\n");
    executable(
        &folder.join("apt-get"),
        &format!(
            "#!/bin/sh\necho \"$@\" >>{here}/log; echo apt-get speaks\n\
             [ \"$1\" = install ] || exit 0\n\
             printf '#!/bin/sh\\necho QEMU emulator version 7.2.22\\n' \
             >{here}/qemu-system-x86_64\nchmod 755 {here}/qemu-system-x86_64\n"
        ),
    );
}

/// Written by a shell, so that no descriptor of this process keeps it busy.
fn executable(path: &Path, text: &str) {
    let script = r#"printf %s "$1" >"$0"; chmod 755 "$0""#;
    let status = Command::new("sh").args(["-c", script]).arg(path).arg(text).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_missing_qemu_is_installed_where_that_is_allowed() {
    let folder = fixture::scratch("installs").join("bin");
    path_with_apt_get(&folder);
    let mut command = fixture::xtask_run("installs");
    let output = command.args(["--image", "/nonexistent"]).env("PATH", &folder).output().unwrap();
    let (code, stdout, stderr) = outcome(output);
    assert!(stderr.contains("installing qemu-system-x86 with apt-get"), "{stderr}");
    let log = fs::read_to_string(folder.join("log")).unwrap();
    assert_eq!(log, "update\ninstall -y --no-install-recommends qemu-system-x86\n");
    // It went on with the new QEMU, and kept standard output for the console.
    assert_eq!((code, &*stdout), (2, ""), "{stderr}");
    assert!(stderr.contains("cannot read /nonexistent"), "{stderr}");
}
