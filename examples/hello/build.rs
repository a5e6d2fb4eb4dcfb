//! Links the program by the kernel's linker script.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../linker.ld");
    println!("cargo::rerun-if-changed={script}");
    for argument in ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    println!("cargo::rustc-link-arg-bins=-Wl,-z,max-page-size=4096");
    println!("cargo::rustc-link-arg-bins=-T{script}");
}
