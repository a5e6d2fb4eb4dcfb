//! Corrupt images never reach QEMU: `cargo xtask run` refuses them.

use std::fs;

use harness::{corrupt, fixture, paths};

use crate::fake;

#[test]
fn corrupt_images_are_refused_before_qemu_starts() {
    fixture::xtask();
    let folder = fixture::scratch("refused-images");
    let started = folder.join("started");
    if started.exists() {
        fs::remove_file(&started).unwrap();
    }
    let qemu = fake::qemu("refused-images", &format!("touch {}; exit 33", started.display()));
    for corrupt in corrupt::all(&fs::read(paths::image("td")).unwrap()) {
        let path = folder.join(corrupt.name).with_extension("fd");
        fs::write(&path, &corrupt.image).unwrap();
        let output = fixture::xtask_run("refused-images")
            .args(["--qemu", &qemu, "--image"])
            .arg(&path)
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{}: {stderr}", corrupt.name);
        assert!(stderr.contains(corrupt.complaint), "{}: {stderr}", corrupt.name);
        assert!(stderr.contains(path.to_str().unwrap()), "{}: {stderr}", corrupt.name);
        assert!(!started.exists(), "{}: QEMU was started", corrupt.name);
    }
}

#[test]
fn an_image_that_is_not_there_is_named() {
    let output = fixture::xtask_run("no-image")
        .args(["--qemu", &fake::qemu("no-image", "exit 33")])
        .args(["--image", "/nonexistent/td.fd"])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("/nonexistent/td.fd"), "{stderr}");
}
