//! `cargo xtask bench calls`: builds the bench and runs it. The package `bench` counts.

use std::path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::flags;

pub(crate) fn calls(sh: &Shell, flags: &flags::Calls) -> Result<ExitCode> {
    let json = match &flags.json {
        Some(file) => vec!["--json".into(), path::absolute(file)?.into_os_string()],
        None => vec![],
    };
    let run = cmd!(sh, "cargo run --quiet --release --package bench -- {json...}");
    let status = Command::from(run).status().context("cannot run cargo")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(2).into())
}
