//! Links the programs by the VMM's linker script: they stand where the VMM stands.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../emulator/vmm/vmm.ld");
    println!("cargo::rerun-if-changed={script}");
    for argument in ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{script}");
}
