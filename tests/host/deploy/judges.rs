//! Programs and schemas of others that read an artefact, from `cargo xtask tools`.
//!
//! A judge says nothing about what it accepts, else what it said.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use harness::{fixture, paths};

pub(super) type Judge = fn(&Path) -> Option<String>;

/// Prints what a RELAX NG schema has against an XML file.
const RELAX_NG: &str = "
import sys
from lxml import etree
schema = etree.RelaxNG(etree.parse(sys.argv[1]))
if not schema.validate(etree.parse(sys.argv[2])):
    sys.exit(str(schema.error_log))
";

/// The folder of the tools, which are there.
pub(crate) fn tools() -> &'static Path {
    static TOOLS: OnceLock<PathBuf> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let output = fixture::xtask().arg("tools").output().expect("xtask starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`cargo xtask tools` needs the network: {stderr}");
        paths::tools()
    })
}

/// `scripts/tdlet-smoke` in the shell of this machine.
pub(crate) fn script(words: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.arg(paths::root().join("scripts/tdlet-smoke")).args(words);
    command
}

/// The busybox of the tools: one file, which is many programs.
pub(crate) fn busybox_program() -> PathBuf {
    tools().join("debian/usr/bin/busybox")
}

fn venv(program: &str) -> Command {
    Command::new(tools().join("venv/bin").join(program))
}

/// Everything that a program says when it fails.
fn complaint(command: &mut Command) -> Option<String> {
    let output = command.output().expect("a tool starts");
    let said = [output.stdout, output.stderr].concat();
    (!output.status.success()).then(|| String::from_utf8_lossy(&said).into_owned())
}

pub(super) fn libvirt(file: &Path) -> Option<String> {
    let schema = tools().join("debian/usr/share/libvirt/schemas/domain.rng");
    complaint(venv("python").args(["-c", RELAX_NG]).arg(schema).arg(file))
}

/// systemd only warns of what it does not know: a line that names the unit is a complaint.
pub(super) fn systemd(file: &Path) -> Option<String> {
    let file = installed(file);
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut verify = Command::new(tools().join("systemd-analyze"));
    let output = verify.args(["verify", "--man=no"]).arg(&file).output().expect("a tool starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let named = said.lines().any(|line| line.contains(&name));
    (named || !output.status.success()).then_some(said)
}

/// How much of the machine a unit can reach: 0 nothing, 10 all. More than 1.5 is refused.
pub(super) fn exposure(file: &Path) -> Option<String> {
    let mut security = Command::new(tools().join("systemd-analyze"));
    security.args(["security", "--offline=true", "--threshold=15", "--no-pager"]);
    complaint(security.arg(installed(file)))
}

/// The unit in a folder with the other one, and the program that it starts at its place.
fn installed(file: &Path) -> PathBuf {
    let folder = file.with_extension("unit");
    fs::create_dir_all(&folder).expect("the scratch folder is writable");
    let mut path = PathBuf::new();
    for unit in ["tdlet-smoke.service", "tdlet-smoke.timer"] {
        let own = file.ends_with(unit);
        let original = paths::root().join("deploy/systemd").join(unit);
        let text = fs::read_to_string(if own { file } else { &original }).expect("a unit");
        let script = paths::root().join("scripts/tdlet-smoke");
        let text = text.replace("/usr/local/bin/tdlet-smoke", &script.to_string_lossy());
        let copy = folder.join(unit);
        fs::write(&copy, text).expect("the scratch folder is writable");
        path = if own { copy } else { path };
    }
    path
}

pub(super) fn workflow(file: &Path) -> Option<String> {
    let mut check = venv("check-jsonschema");
    complaint(check.args(["--builtin-schema", "vendor.github-workflows"]).arg(file))
}

/// A kind that no schema is of is only warned of: all that is not INFO is a complaint.
pub(super) fn kubernetes(file: &Path) -> Option<String> {
    let output = venv("kubernetes-validate").arg("--strict").arg(file).output();
    let output = output.expect("a tool starts");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let passed = output.status.success() && said.lines().all(|line| line.starts_with("INFO "));
    (!passed).then_some(said)
}

pub(super) fn container(file: &Path) -> Option<String> {
    complaint(venv("hadolint").arg("--no-color").arg(file))
}

pub(super) fn shellcheck(file: &Path) -> Option<String> {
    complaint(venv("shellcheck").arg("--shell=sh").arg(file))
}

pub(super) fn dash(file: &Path) -> Option<String> {
    complaint(Command::new("dash").arg("-n").arg(file))
}

pub(super) fn busybox(file: &Path) -> Option<String> {
    complaint(Command::new(busybox_program()).args(["sh", "-n"]).arg(file))
}
