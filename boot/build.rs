//! Links the bare binary by `boot.ld`, without a C library.

use std::env;
use std::path::Path;

fn main() {
    let root = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it for build scripts");
    let script = Path::new(&root).join("boot.ld");
    println!("cargo::rerun-if-changed={}", script.display());
    for argument in [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        "-no-pie",
        "-Wl,-z,max-page-size=4096",
        "-Wl,--build-id=none",
    ] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", script.display());
}
