//! `cargo xtask bench`: builds the bench and runs it. The package `bench` counts.

use std::env;
use std::ffi::OsString;
use std::path::{self, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use harness::fixture;
use harness::qemu::DEFAULT;
use xshell::{Shell, cmd};

use crate::{build, flags, qemu};

pub(crate) fn calls(sh: &Shell, flags: &flags::Calls) -> Result<ExitCode> {
    run(sh, &["calls".into()], flags.json.as_ref())
}

pub(crate) fn ve(sh: &Shell, flags: &flags::Ve) -> Result<ExitCode> {
    qemu::ensure(sh, flags.qemu.as_deref())?;
    build::everything(sh)?;
    let qemu = flags.qemu.as_deref().unwrap_or(DEFAULT);
    run(sh, &["ve".into(), qemu.into()], flags.json.as_ref())
}

pub(crate) fn memory(sh: &Shell, flags: &flags::Memory) -> Result<ExitCode> {
    qemu::ensure(sh, flags.qemu.as_deref())?;
    build::everything(sh)?;
    let qemu = flags.qemu.as_deref().unwrap_or(DEFAULT);
    run(sh, &["memory".into(), qemu.into()], flags.json.as_ref())
}

fn run(sh: &Shell, table: &[OsString], json: Option<&PathBuf>) -> Result<ExitCode> {
    let json = match json {
        Some(file) => vec!["--json".into(), path::absolute(file)?.into_os_string()],
        None => vec![],
    };
    let run = cmd!(sh, "cargo run --quiet --release --package bench -- {table...} {json...}");
    let mut run = Command::from(run);
    run.env(fixture::XTASK, env::current_exe()?);
    let status = run.status().context("cannot run cargo")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(2).into())
}
