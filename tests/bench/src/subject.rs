//! Builds subjects.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// How a subject is compiled; see `subjects/Cargo.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Cargo's stock release profile.
    Release,
    /// That of tdlet's images: opt-level "s", LTO, overflow checks.
    Shipped,
}

impl Profile {
    const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Shipped => "shipped",
        }
    }
}

/// Compiles the subject of crate `name`; gives the program.
///
/// # Errors
/// It does not compile.
pub fn build(name: &str, profile: Profile) -> Result<PathBuf> {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = bench.join("../..");
    let target = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |directory| root.join(directory))
        .join("bench");
    let package = format!("subject-{name}");
    eprintln!("building {package} ({})", profile.name());
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(bench.join("subjects"))
        .args(["build", "--quiet", "--locked", "--profile", profile.name()])
        .args(["--package", &package, "--target-dir"])
        .arg(&target)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "{package} does not compile");
    Ok(target.join(profile.name()).join(package))
}
