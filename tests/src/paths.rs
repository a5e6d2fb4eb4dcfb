//! Where things stand: the repository, and what is built from it.

use std::env;
use std::path::{Path, PathBuf};

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate is a folder of the root")
}

/// Cargo's target directory: `target/`, or where `CARGO_TARGET_DIR` says.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The target directory of the bare binaries, which have their own flags.
pub fn bare_target() -> PathBuf {
    target().join("bare")
}

/// The ELF file of the bare binary `name`.
pub fn bare(name: &str) -> PathBuf {
    bare_target().join("x86_64-unknown-linux-gnu/release").join(name)
}

/// The trust domain's image: `td` is the kernel's, other names are test payloads.
pub fn image(name: &str) -> PathBuf {
    target().join("td").join(name).with_extension("fd")
}

/// Names of the test payloads: the binaries of `tests/payloads`.
pub fn payloads() -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in root().join("tests/payloads/src/bin").read_dir()? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}
