//! A QEMU at any price: found, installed, or asked for with the exact command.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use harness::qemu::{DEFAULT, Qemu, QemuError};
use xshell::{Shell, cmd};

const INSTALL: &str = "apt-get update && apt-get install -y --no-install-recommends";

/// The QEMU named on the command line, or the default one, installed if need be.
pub(crate) fn ensure(sh: &Shell, named: Option<&str>) -> Result<Qemu> {
    match Qemu::find(named.unwrap_or(DEFAULT)) {
        Ok(qemu) => Ok(qemu),
        Err(QemuError::Missing(_)) if named.is_none() => {
            install(sh, "qemu-system-x86").with_context(|| format!("there is no {DEFAULT}"))?;
            Qemu::find(DEFAULT).map_err(|error| advise(&error))
        }
        Err(error) => Err(advise(&error)),
    }
}

/// What to put before a command to run it as root, if that works without questions.
fn privilege(sh: &Shell) -> Option<&'static [&'static str]> {
    let root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if root {
        return Some(&[]);
    }
    let sudo = cmd!(sh, "sudo -n true").quiet().ignore_stderr().run().is_ok();
    sudo.then_some(&["sudo", "-n"])
}

/// Installs a package of the distribution, or fails with the command that would.
pub(crate) fn install(sh: &Shell, package: &str) -> Result<()> {
    let install = format!("{INSTALL} {package}");
    let Some(prefix) = privilege(sh) else { bail!("as root, run: {install}") };
    eprintln!("installing {package} with apt-get");
    let env = "DEBIAN_FRONTEND=noninteractive";
    for step in [&["update"][..], &["install", "-y", "--no-install-recommends", package]] {
        // Standard output belongs to the trust domain: apt-get's goes to stderr.
        let mut command = Command::from(cmd!(sh, "env {env} {prefix...} apt-get {step...}"));
        let status = command.stdout(io::stderr()).status().context("cannot run apt-get")?;
        ensure!(status.success(), "apt-get failed; as root, run: {install}");
    }
    Ok(())
}

/// An error with what to do next.
fn advise(error: &QemuError) -> anyhow::Error {
    let next = match error {
        QemuError::Missing(_) => {
            format!("name another with --qemu, or as root, run: {INSTALL} qemu-system-x86")
        }
        _ => "name another with --qemu".to_owned(),
    };
    anyhow::anyhow!("{error}; {next}")
}
