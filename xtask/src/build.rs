//! `cargo xtask build`: every binary and image that a booted test can ask for.

use std::process::ExitCode;

use anyhow::Result;
use harness::paths;
use xshell::Shell;

use crate::{bare, image};

pub(crate) fn run(sh: &Shell) -> Result<ExitCode> {
    everything(sh)?;
    Ok(ExitCode::SUCCESS)
}

/// The emulator, the tests' own VMMs, `td.fd`, and an image for each test payload.
pub(crate) fn everything(sh: &Shell) -> Result<()> {
    let packages = [&bare::TD[..], &bare::EMULATOR, &[bare::PAYLOADS, bare::HOSTS]].concat();
    bare::build(sh, &packages)?;
    image::write(&paths::bare("kernel"), &paths::image("td"))?;
    for payload in paths::payloads()? {
        image::write(&paths::bare(&payload), &paths::image(&payload))?;
    }
    Ok(())
}
