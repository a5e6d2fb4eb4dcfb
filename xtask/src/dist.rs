//! `cargo xtask dist`: the files of a release, for people without Rust.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use harness::crosscheck::hex;
use harness::paths;
use sha2::{Digest, Sha256};
use xshell::Shell;

use crate::{bare, flags, image};

/// The script that boots the image on a TDX host.
const SCRIPT: &str = "scripts/tdlet-smoke";

pub(crate) fn run(sh: &Shell, flags: &flags::Dist) -> Result<ExitCode> {
    bare::build(sh, &bare::TD)?;
    let folder = flags.output.clone().unwrap_or_else(|| paths::target().join("dist"));
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    image::write(&paths::bare(bare::KERNEL), image::OPTIONS, &folder.join("td.fd"))?;
    // With its permissions: it is to be run.
    fs::copy(paths::root().join(SCRIPT), folder.join("tdlet-smoke")).context(SCRIPT)?;
    let sums = sums(&folder, &["td.fd", "tdlet-smoke"])?;
    fs::write(folder.join("SHA256SUMS"), &sums)?;
    print!("{sums}");
    println!("in {}", folder.display());
    Ok(ExitCode::SUCCESS)
}

/// Lines as `sha256sum` writes and checks them.
fn sums(folder: &Path, names: &[&str]) -> Result<String> {
    let mut lines = String::new();
    for name in names {
        let bytes = fs::read(folder.join(name)).with_context(|| (*name).to_owned())?;
        writeln!(lines, "{}  {name}", hex(&Sha256::digest(&bytes)))?;
    }
    Ok(lines)
}
