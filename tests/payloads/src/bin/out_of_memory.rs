//! Takes all memory there is. Too large a block is an error value for those who ask for one;
//! for others it is the end.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::alloc::Layout;
use alloc::vec::Vec;

use kernel::{Kernel, Verdict, memory, println};

kernel::main!(fill);

const GIB: usize = 1 << 30;
const BLOCK: usize = 64 << 10;

fn fill(_: &mut Kernel) -> Verdict {
    let mut numbers = memory::numbers();
    println!("# {numbers}");
    let layout = Layout::from_size_align(GIB, 8).expect("a size and a power of two");
    let error = memory::try_alloc(layout);
    println!("# {}", error.expect_err("the trust domain is smaller"));
    let mut large = Vec::<u8>::new();
    let is_refused = large.try_reserve_exact(GIB).is_err();
    let unchanged = memory::numbers() == numbers;

    let mut blocks = Vec::new();
    while let Some(block) = block(blocks.len()) {
        blocks.push(block);
    }
    let whole =
        blocks.iter().enumerate().all(|(number, block)| block.iter().all(|word| *word == number));
    numbers = memory::numbers();
    println!("# {} blocks of {BLOCK} bytes; {numbers}", blocks.len());
    let is_all = numbers.unaccepted == 0 && numbers.free() < 4 * BLOCK as u64;
    blocks.pop();
    let again = block(0).is_some();
    println!("{is_refused} {unchanged} {whole} {is_all} {again}");

    let vector = Vec::<u8>::with_capacity(GIB);
    println!("FAIL a vector of {} bytes", vector.capacity());
    Verdict::CheckFailed
}

/// A block full of `word`; none if there is no memory.
fn block(word: usize) -> Option<Vec<usize>> {
    let mut block = Vec::new();
    block.try_reserve_exact(BLOCK / size_of::<usize>()).ok()?;
    block.resize(block.capacity(), word);
    Some(block)
}
