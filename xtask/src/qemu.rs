//! A QEMU at any price: found, installed, or asked for with the exact command.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use harness::qemu::{DEFAULT, OLDEST, Qemu, QemuError};
use xshell::{Shell, cmd};

const INSTALL: &str = "apt-get update && \
                       apt-get install -y --no-install-recommends qemu-system-x86";

/// The QEMU named on the command line, or the default one, installed if need be.
pub(crate) fn ensure(sh: &Shell, named: Option<&str>) -> Result<Qemu> {
    match Qemu::find(named.unwrap_or(DEFAULT)) {
        Ok(qemu) => Ok(qemu),
        Err(QemuError::Missing(_)) if named.is_none() => {
            let Some(prefix) = privilege(sh) else {
                bail!("there is no {DEFAULT}; as root, run: {INSTALL}");
            };
            install(sh, prefix)?;
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

fn install(sh: &Shell, prefix: &[&str]) -> Result<()> {
    eprintln!("installing qemu-system-x86 with apt-get");
    let env = "DEBIAN_FRONTEND=noninteractive";
    for step in ["update", "install -y --no-install-recommends qemu-system-x86"] {
        let step = step.split(' ');
        // Standard output belongs to the trust domain: apt-get's goes to stderr.
        let mut command = Command::from(cmd!(sh, "env {env} {prefix...} apt-get {step...}"));
        let status = command.stdout(io::stderr()).status().context("cannot run apt-get")?;
        ensure!(
            status.success(),
            "apt-get failed; install qemu-system-x86_64 {OLDEST} or newer, for example: {INSTALL}"
        );
    }
    Ok(())
}

/// An error with what to do next.
fn advise(error: &QemuError) -> anyhow::Error {
    let next = match error {
        QemuError::Missing(_) => format!("name another with --qemu, or as root, run: {INSTALL}"),
        _ => "name another with --qemu".to_owned(),
    };
    anyhow::anyhow!("{error}; {next}")
}
