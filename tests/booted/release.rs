//! The files of a release.

use std::fs;
use std::process::Command;

use harness::{fixture, paths};

#[test]
fn a_release_is_the_image_the_script_and_their_sums() {
    let folder = fixture::scratch("release");
    let output = fixture::xtask().args(["dist", "--output"]).arg(&folder).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut check = Command::new("sha256sum");
    check.args(["--check", "--strict", "SHA256SUMS"]).current_dir(&folder);
    let checked = check.output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
    assert_eq!(fs::read(folder.join("td.fd")).unwrap(), fs::read(paths::image("td")).unwrap());
    let help = Command::new(folder.join("tdlet-smoke")).arg("--help").output().unwrap();
    assert!(help.status.success(), "{help:?}");
}
