//! `cargo xtask ci`: what a change must pass before it is submitted.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use harness::paths;
use xshell::{Shell, cmd};

use crate::{bare, flags, test, tidy};

pub(crate) fn run(sh: &Shell, flags: &flags::Ci) -> Result<ExitCode> {
    cmd!(sh, "cargo fmt --all --check").run().context("run `cargo fmt --all`")?;
    cmd!(sh, "cargo clippy --all-targets -- -D warnings").run()?;
    let (target, directory, flags_of_bare) = (bare::TARGET, paths::bare_target(), bare::FLAGS);
    let packages = [&bare::TD[..], &bare::EMULATOR, &[bare::PAYLOADS]].concat();
    let packages = packages.iter().flat_map(|package| ["--package", package]);
    cmd!(sh, "cargo clippy --release --target {target} --target-dir {directory} {packages...}")
        .args(["--", "-D", "warnings"])
        .env("RUSTFLAGS", flags_of_bare)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .run()?;
    ensure!(tidy::run()? == ExitCode::SUCCESS, "the tree is not tidy");
    test::run(sh, &flags::Test { qemu: flags.qemu.clone() })
}
