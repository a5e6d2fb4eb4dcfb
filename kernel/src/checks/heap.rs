//! The heap: blocks are disjoint, lie in it, keep their content, and come back.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::step::Steps;
use crate::memory::Heap;

/// Numbers in the vector, which grows and so is moved several times.
const NUMBERS: u64 = 3000;

pub(super) fn blocks(steps: &mut Steps) {
    let before = Heap.used_bytes();
    let boxed = Box::new(0x1234_u64);
    let mut numbers = Vec::new();
    for number in 0..NUMBERS {
        numbers.push(number * number);
    }
    let sum: u64 = numbers.iter().sum();
    let in_heap =
        Heap.contains((&raw const *boxed).addr()) && Heap.contains(numbers.as_ptr().addr());
    let used = Heap.used_bytes() - before;
    let is_kept = sum == (NUMBERS - 1) * NUMBERS * (2 * NUMBERS - 1) / 6 && *boxed == 0x1234;
    drop((numbers, boxed));
    steps.holds("blocks lie in the heap", in_heap && used >= 8 * NUMBERS as usize);
    steps.holds("blocks keep what is in them", is_kept);
    steps.equal("bytes in use afterwards", Heap.used_bytes() as u64, before as u64);
}
