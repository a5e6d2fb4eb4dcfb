//! `cargo xtask build`: every binary and image that a booted test can ask for.

use std::process::ExitCode;

use anyhow::Result;
use harness::paths;
use xshell::Shell;

use crate::{bare, flags, image};

pub(crate) fn run(sh: &Shell, flags: &flags::Build) -> Result<ExitCode> {
    everything(sh)?;
    if let Some(profile) = &flags.profile {
        bare::build_with(sh, profile, &[bare::KERNEL, bare::PAYLOADS])?;
        images(profile)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The emulator, the tests' own VMMs, `td.fd`, and an image for each test payload.
pub(crate) fn everything(sh: &Shell) -> Result<()> {
    let packages = [&bare::TD[..], &bare::EMULATOR, &[bare::PAYLOADS, bare::HOSTS]].concat();
    bare::build(sh, &packages)?;
    images(paths::RELEASE)
}

/// `td.fd` and the payloads' images, with kernels that were compiled with a profile.
fn images(profile: &str) -> Result<()> {
    let write = |kernel: &str, image: &str| {
        let image = paths::image_of(profile, image);
        image::write(&paths::bare_of(profile, kernel), image::OPTIONS, &image)
    };
    write(bare::KERNEL, "td")?;
    for payload in paths::payloads()? {
        write(&payload, &payload)?;
    }
    Ok(())
}
