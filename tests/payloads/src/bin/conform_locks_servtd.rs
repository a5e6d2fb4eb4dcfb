//! Runs the TDG.SERVTD leaves that the module answers as busy; see `payloads::conform`.
#![no_std]
#![no_main]

use kernel::{Kernel, Verdict};
use payloads::conform::{Run, World, tables};

kernel::main!(conform);

fn conform(kernel: &mut Kernel) -> Verdict {
    let mut run = Run::new(World::new(kernel));
    run.world.expect_busy();
    run.table(&tables::BUSY_SERVTD);
    run.finish()
}
