//! `cargo xtask ci`: what a change must pass before it is submitted.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use harness::paths;
use xshell::{Shell, cmd};

use crate::{bare, flags, test, tidy};

pub(crate) fn run(sh: &Shell, flags: &flags::Ci) -> Result<ExitCode> {
    cmd!(sh, "cargo fmt --all --check").run().context("run `cargo fmt --all`")?;
    // What has a bare binary by itself: in company its dependencies get features that need an
    // operating system, and the binary has none.
    let bare_members = [&bare::TD[..], &bare::EMULATOR].concat();
    let excluded = bare_members.iter().chain(&[bare::PAYLOADS, bare::HOSTS, "example-*"]);
    let excluded = excluded.flat_map(|package| ["--exclude", package]);
    cmd!(sh, "cargo clippy --workspace {excluded...} --all-targets -- -D warnings").run()?;
    for package in bare_members {
        cmd!(sh, "cargo clippy --package {package} --all-targets -- -D warnings").run()?;
    }
    for packages in [&bare::TD[..1], &bare::TD[1..], &bare::EMULATOR, &[bare::PAYLOADS]] {
        bare_clippy(sh, packages)?;
    }
    ensure!(tidy::run()? == ExitCode::SUCCESS, "the tree is not tidy");
    test::run(sh, &flags::Test { qemu: flags.qemu.clone() })
}

/// Clippy for what is compiled bare, as it is compiled.
fn bare_clippy(sh: &Shell, packages: &[&str]) -> Result<()> {
    let (target, directory) = (bare::TARGET, paths::bare_target());
    let packages = bare::selection(packages);
    cmd!(sh, "cargo clippy --release --target {target} --target-dir {directory} {packages...}")
        .args(["--", "-D", "warnings"])
        .env("RUSTFLAGS", bare::FLAGS)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .run()?;
    Ok(())
}
