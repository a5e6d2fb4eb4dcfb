//! Runs the leaves that the module answers as busy, raw and typed; see `payloads::conform`.
#![no_std]
#![no_main]

use kernel::{Kernel, Verdict};
use payloads::conform::{Run, World, tables, typed_busy};

kernel::main!(conform);

fn conform(kernel: &mut Kernel) -> Verdict {
    let mut run = Run::new(World::new(kernel));
    run.world.expect_busy();
    run.table(&tables::BUSY);
    typed_busy::all(&mut run);
    run.finish()
}
