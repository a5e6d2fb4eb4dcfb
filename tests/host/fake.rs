//! A fake QEMU: a shell script that knows where its logs go.

use std::fs;
use std::path::PathBuf;

use harness::fixture;

const HEAD: &str = r#"
case "$1" in --version) echo "QEMU emulator version $VERSION"; exit 0;; esac
for word; do case "$word" in
    file,id=m,path=*) module=${word#file,id=m,path=};;
    file,id=v,path=*) vmm=${word#file,id=v,path=};;
esac; done
"#;

/// A command for `--qemu`. The body finds the words of its command line in `$@` and
/// the paths of the logs in `$module` and `$vmm`.
pub(crate) fn qemu(test: &str, body: &str) -> String {
    versioned(test, "9.9.9", body)
}

/// The same, of this version.
pub(crate) fn versioned(test: &str, version: &str, body: &str) -> String {
    let path = script_path(test);
    fs::write(&path, format!("VERSION={version}\n{HEAD}\n{body}\n")).unwrap();
    format!("sh {}", path.display())
}

fn script_path(test: &str) -> PathBuf {
    fixture::scratch(test).join("fake-qemu.sh")
}
