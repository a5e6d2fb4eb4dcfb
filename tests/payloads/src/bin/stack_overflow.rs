//! Recurses for ever, with frames that are larger than a guard page.
#![no_std]
#![no_main]

use core::hint::black_box;

use kernel::{Kernel, Verdict, println};

kernel::main!(overflow);

fn overflow(_: &mut Kernel) -> Verdict {
    println!("recursing");
    println!("FAIL the recursion ended with {}", deeper(1));
    Verdict::CheckFailed
}

/// Takes 12 KiB of the stack, and writes none of it before it has gone deeper.
#[expect(clippy::large_stack_arrays, reason = "on purpose")]
fn deeper(depth: u64) -> u64 {
    if black_box(depth) == 0 {
        return 0;
    }
    let below = deeper(depth + 1);
    let room = black_box([below; 1536]);
    room[depth as usize % room.len()]
}
