//! Runs every check of the guest leaves; see `payloads::conform`.
#![no_std]
#![no_main]

use kernel::{Kernel, Verdict};
use payloads::conform::{Run, World, modes, tables, typed};

kernel::main!(conform);

fn conform(kernel: &mut Kernel) -> Verdict {
    let mut run = Run::new(World::new(kernel));
    for table in tables::ALL {
        run.table(table);
    }
    typed::all(&mut run);
    modes::all(&mut run);
    typed::print_mrtd();
    run.finish()
}
