//! Prints the memory map, takes all memory, and sees that it is zero at first, keeps what is
//! written, and is nowhere twice.
//!
//! What memory is called on the console is the same whether boot accepted it or left it.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "memory from the allocator, by pointer")]

extern crate alloc;

use alloc::vec::Vec;
use core::alloc::Layout;
use core::ptr::NonNull;

use kernel::bootloader_api::info::{MemoryRegion, MemoryRegionKind};
use kernel::{Kernel, Verdict, memory, println};

kernel::main!(run);

const PAGE: usize = 4096;
const UNIT: usize = 2 << 20;
/// Sizes of the blocks that are asked for, until there are no more of them.
const SIZES: [usize; 3] = [256 << 20, 32 << 20, UNIT];
/// Pages that are looked at: in all of memory, as far from each other as there is room.
const LOOKED_AT: usize = 1 << 16;
/// Places that are written.
const PLACES: usize = 256;
/// Above this there is memory only if there is more than fits below.
const HIGH: u64 = 4 << 30;
/// EFI's type of memory that is not accepted. [TDVF 8.5]
const UNACCEPTED: MemoryRegionKind = MemoryRegionKind::UnknownUefi(15);

/// A block, as quadwords.
#[derive(Clone, Copy)]
struct Block {
    start: NonNull<u64>,
    bytes: usize,
}

fn run(kernel: &mut Kernel) -> Verdict {
    print_map(memory::map());
    println!("memory: total {} KiB", memory::numbers().total >> 10);
    let mut blocks: Vec<Block> = Vec::with_capacity(256);
    for bytes in SIZES {
        while blocks.len() < blocks.capacity() {
            let Some(block) = Block::new(bytes) else { break };
            blocks.push(block);
        }
    }
    let bytes: usize = blocks.iter().map(|block| block.bytes).sum();
    println!("memory: took {} MiB", bytes >> 20);
    let high = blocks.iter().filter(|block| block.is_above(HIGH, kernel)).map(|block| block.bytes);
    println!("memory: of these {} MiB above 4 GiB", high.sum::<usize>() >> 20);
    let is_zero = are_zero(&blocks, bytes);
    let keeps = keep(&blocks, bytes, kernel);
    println!("memory: unaccepted {} KiB", memory::numbers().unaccepted >> 10);
    if is_zero && keeps { Verdict::Passed } else { Verdict::CheckFailed }
}

/// The map, neighbours of a kind as one.
fn print_map(regions: &[MemoryRegion]) {
    let kind = |region: &MemoryRegion| match region.kind {
        UNACCEPTED => MemoryRegionKind::Usable,
        other => other,
    };
    let joins = |a: &MemoryRegion, b: &MemoryRegion| a.end == b.start && kind(a) == kind(b);
    for run in regions.chunk_by(joins) {
        if let (Some(first), Some(last)) = (run.first(), run.last()) {
            println!("memory: map {:#x}..{:#x} {:?}", first.start, last.end, kind(first));
        }
    }
}

/// Looks at pages in all blocks. The free list wrote its notes at the beginnings of blocks and
/// of units, and nowhere else.
fn are_zero(blocks: &[Block], bytes: usize) -> bool {
    let step = (bytes / PAGE).div_ceil(LOOKED_AT) * PAGE;
    let mut pages = 0;
    for block in blocks {
        for page in (0..block.bytes).step_by(step) {
            let address = block.start.addr().get() + page;
            if page == 0 || address % UNIT < PAGE {
                continue;
            }
            pages += 1;
            if let Some(at) = (page..page + PAGE).step_by(8).find(|at| block.read(*at) != 0) {
                println!("FAIL {:#x} at {:#x} in a block", block.read(at), at);
                return false;
            }
        }
    }
    println!("memory: {pages} pages were zero");
    pages > 0
}

/// Writes its own guest-physical address to each place, then reads them all.
fn keep(blocks: &[Block], bytes: usize, kernel: &Kernel) -> bool {
    let step = (bytes / PLACES) & !7;
    let places = || {
        let of = move |block: &Block| {
            let block = *block;
            (PAGE..block.bytes).step_by(step).map(move |at| (block, at))
        };
        blocks.iter().flat_map(of)
    };
    for (block, at) in places() {
        block.write(at, block.gpa(at, kernel));
    }
    let kept = places().filter(|(block, at)| block.read(*at) == block.gpa(*at, kernel)).count();
    let all = places().count();
    println!("memory: {kept} of {all} places keep what was written");
    kept == all && all >= PLACES / 2
}

impl Block {
    fn new(bytes: usize) -> Option<Self> {
        let layout = Layout::from_size_align(bytes, PAGE).ok()?;
        Some(Self { start: memory::try_alloc(layout).ok()?.cast(), bytes })
    }

    /// The quadword at `offset`, a multiple of 8 below `bytes`.
    fn at(self, offset: usize) -> *mut u64 {
        self.start.as_ptr().wrapping_byte_add(offset % self.bytes)
    }

    fn read(self, offset: usize) -> u64 {
        // SAFETY: in the block, which was allocated and is never freed; aligned.
        unsafe { self.at(offset).read_volatile() }
    }

    fn write(self, offset: usize, value: u64) {
        // SAFETY: as in `read`, and there is no reference into it.
        unsafe { self.at(offset).write_volatile(value) };
    }

    fn gpa(self, offset: usize, kernel: &Kernel) -> u64 {
        kernel.memory.physical_address(self.at(offset).addr() as u64).unwrap_or_default()
    }

    fn is_above(self, limit: u64, kernel: &Kernel) -> bool {
        self.gpa(0, kernel) >= limit
    }
}
