//! Asks TDG.SERVTD leaves about the TD itself; see `payloads::conform`.
#![no_std]
#![no_main]

use kernel::{Kernel, Verdict};
use payloads::conform::{Run, World, tables};

kernel::main!(conform);

fn conform(kernel: &mut Kernel) -> Verdict {
    let mut world = World::new(kernel);
    world.find_target();
    let mut run = Run::new(world);
    run.table(&tables::CROSS_TD);
    run.finish()
}
