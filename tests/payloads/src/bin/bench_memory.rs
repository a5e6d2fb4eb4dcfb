//! Takes all memory in blocks of 2 MiB and touches none of it: `cargo xtask bench memory` counts
//! what that costs. It says nothing in between, because each character costs calls, too.
#![no_std]
#![no_main]

use core::alloc::Layout;

use kernel::{Kernel, Verdict, memory, println};

kernel::main!(take);

const BLOCK: usize = 2 << 20;
const ALIGNMENT: usize = 4096;

fn take(_: &mut Kernel) -> Verdict {
    let Ok(layout) = Layout::from_size_align(BLOCK, ALIGNMENT) else {
        return Verdict::CheckFailed;
    };
    while memory::try_alloc(layout).is_ok() {}
    println!("took all memory");
    Verdict::Passed
}
