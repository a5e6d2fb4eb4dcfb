//! Where things stand: the repository, and what is built from it.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The repository's root: the folder with `rust-toolchain.toml` above the package that cargo
/// runs, or above this one when no cargo does.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let package =
            env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
        let package = PathBuf::from(package);
        let is_root = |folder: &&Path| folder.join("rust-toolchain.toml").is_file();
        package.ancestors().find(is_root).expect("packages are in the repository").to_owned()
    })
}

/// Cargo's target directory: `target/`, or where `CARGO_TARGET_DIR` says.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The target directory of the bare binaries, which have their own flags.
pub fn bare_target() -> PathBuf {
    target().join("bare")
}

/// Programs and schemas that check `deploy/`; `cargo xtask tools` fetches them.
pub fn tools() -> PathBuf {
    target().join("tools")
}

/// The profile of what is shipped: optimised for size, link-time optimisation.
pub const RELEASE: &str = "release";

/// Other profiles that a kernel has to work in: without most optimisations, and without
/// link-time optimisation.
pub const OTHER_PROFILES: [&str; 2] = ["dev", "no-lto"];

/// The ELF file of the bare binary `name`.
pub fn bare(name: &str) -> PathBuf {
    bare_of(RELEASE, name)
}

/// The ELF file of the bare binary `name`, compiled with a profile.
pub fn bare_of(profile: &str, name: &str) -> PathBuf {
    let folder = if profile == "dev" { "debug" } else { profile };
    bare_target().join("x86_64-unknown-linux-gnu").join(folder).join(name)
}

/// The trust domain's image: `td` is the kernel's, other names are test payloads.
pub fn image(name: &str) -> PathBuf {
    image_of(RELEASE, name)
}

/// The image whose kernel was compiled with a profile.
pub fn image_of(profile: &str, name: &str) -> PathBuf {
    let folder = target().join("td");
    let folder = if profile == RELEASE { folder } else { folder.join(profile) };
    folder.join(name).with_extension("fd")
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
