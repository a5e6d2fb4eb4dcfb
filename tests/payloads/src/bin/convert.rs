//! Private pages full of a secret become shared and private again, many times: each side is
//! zero when it is first seen, the host finds the secret nowhere, and nothing is lost.
//!
//! The secret is made at run time, so that it is not in the image, which the host has, too.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "blocks of the heap, and their bytes after they were freed")]

extern crate alloc;

use core::alloc::Layout;
use core::{fmt, ptr};

use abi::PAGE_SIZE;
use kernel::memory::Heap;
use kernel::memory::shared::{self, Numbers, SharedError, SharedPages};
use kernel::{Kernel, Verdict, println};

kernel::main!(convert);

const PAGE: usize = PAGE_SIZE as usize;
/// Pages at once, and how often. 513 pages are more than a large page has, so that whatever
/// their place is, they have a boundary of large pages inside.
const PLAN: [(usize, u32); 3] = [(1, 40), (16, 10), (513, 3)];
/// A freed block holds the heap's notes.
const NOTES: usize = 32;

fn convert(kernel: &mut Kernel) -> Verdict {
    let secret = secret();
    for (pages, rounds) in PLAN {
        let mut convert = Convert { kernel, pages, secret, moved: 0 };
        // Page tables are made once and stay.
        let first = convert.round(0).and(host::finds_no(secret));
        let before = Heap.used_bytes();
        let all = first.and_then(|()| (1..rounds).try_for_each(|round| convert.round(round)));
        let moved = convert.moved;
        if let Err(why) = &all {
            println!("convert: {why}");
            if let Err(why) = host::finds_no(secret) {
                println!("convert: {why}");
            }
        }
        let Numbers { shared_bytes, lost_bytes } = shared::numbers();
        let used = Heap.used_bytes();
        println!(
            "convert: {pages} pages, {rounds} rounds, {moved} times elsewhere; bytes in use \
             {before} before, {used} now, {shared_bytes} shared, {lost_bytes} lost"
        );
        if all.is_err() || used != before || (shared_bytes, lost_bytes, moved) != (0, 0, 0) {
            return Verdict::CheckFailed;
        }
    }
    println!("convert: all pages are back");
    Verdict::Passed
}

/// The host's device for looks, where there is one.
mod host {
    use kernel::io::Port;

    use super::Why;

    const READ: u32 = 1;
    const COUNT: u32 = 2;
    const DONE: u32 = 1;

    /// The host has the lower half of `mark` at a shared address, and finds it in its memory.
    pub(super) fn sees(address: u64, mark: u64) -> Result<(), Why> {
        let there = look(address, READ).is_none_or(|there| there == mark as u32);
        let found = look(mark, COUNT).is_none_or(|times| times != 0);
        if there && found { Ok(()) } else { Err(Why::NotSeen(address)) }
    }

    /// The host finds the word nowhere in its memory.
    pub(super) fn finds_no(secret: u64) -> Result<(), Why> {
        match look(secret, COUNT) {
            None => Ok(()),
            Some(0) => {
                kernel::println!("convert: the host finds no secret");
                Ok(())
            }
            Some(times) => Err(Why::Found(times)),
        }
    }

    /// The result of a command with this operand. None: no host looks.
    fn look(operand: u64, command: u32) -> Option<u32> {
        let [low, high, commands, result] = [0x5B0, 0x5B4, 0x5B8, 0x5BC].map(Port::<u32>::new);
        low.write(operand as u32).ok()?;
        high.write((operand >> 32) as u32).ok()?;
        commands.write(command).ok()?;
        (commands.read().ok()? == DONE).then(|| result.read().ok()).flatten()
    }
}

struct Convert<'a> {
    kernel: &'a Kernel,
    pages: usize,
    secret: u64,
    /// How often the shared block was not the one with the secret.
    moved: u32,
}

impl Convert<'_> {
    fn round(&mut self, round: u32) -> Result<(), Why> {
        let address = self.private(round == 0)?;
        let mut pages = SharedPages::new(self.pages).map_err(Why::Conversion)?;
        self.moved += u32::from(Some(pages.address()) != address);
        let mut page = [0; PAGE];
        for offset in (0..pages.len()).step_by(PAGE) {
            pages.copy_out(offset, &mut page).map_err(|_| Why::Bounds)?;
            if page.iter().any(|byte| *byte != 0) {
                return Err(Why::NotZero("shared", pages.address() + offset as u64));
            }
            pages.write(offset, &mark(round, offset)).map_err(|_| Why::Bounds)?;
        }
        for offset in (0..pages.len()).step_by(PAGE) {
            let found: u64 = pages.read(offset).map_err(|_| Why::Bounds)?;
            if found != mark(round, offset) {
                return Err(Why::NotKept(found));
            }
        }
        if round == 0 {
            host::sees(pages.address(), mark(0, 0))?;
            host::finds_no(self.secret)?;
        }
        pages.into_private().map_err(Why::Conversion)
    }

    /// Fills a block of the heap with the secret and frees it; its guest-physical address. But
    /// for the first round, it is the block that was shared, and all zeros.
    fn private(&self, is_first: bool) -> Result<Option<u64>, Why> {
        let layout = Layout::from_size_align(self.pages * PAGE, PAGE).map_err(|_| Why::Bounds)?;
        // SAFETY: there is at least one page.
        let block = unsafe { alloc::alloc::alloc(layout) };
        if block.is_null() {
            return Err(Why::Bounds);
        }
        let address_in_heap = block.expose_provenance();
        let address = self.kernel.memory.physical_address(address_in_heap as u64);
        for offset in (0..layout.size()).step_by(size_of::<u64>()) {
            let word = ptr::with_exposed_provenance_mut::<u64>(address_in_heap + offset);
            // SAFETY: a word of the block, which is aligned; what a free block holds is any
            // bytes.
            let old = unsafe { word.read_volatile() };
            if old != 0 && offset >= NOTES && !is_first {
                return Err(Why::NotZero("private", address.unwrap_or(0) + offset as u64));
            }
            // SAFETY: as above.
            unsafe { word.write_volatile(self.secret) };
        }
        // SAFETY: given out above for this layout.
        unsafe { alloc::alloc::dealloc(block, layout) };
        Ok(address)
    }
}

/// What is wrong.
enum Why {
    /// A conversion failed.
    Conversion(SharedError),
    /// The side and address of a byte that is not zero at first sight.
    NotZero(&'static str, u64),
    /// Shared memory did not keep what was written: this is there.
    NotKept(u64),
    /// The host has other bytes at a shared address.
    NotSeen(u64),
    /// The host finds the secret in its memory, so often.
    Found(u32),
    /// No memory, or an access beyond it.
    Bounds,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conversion(error) => write!(f, "{error}"),
            Self::NotZero(side, address) => write!(f, "{side} memory at {address:#x} is not zero"),
            Self::NotKept(value) => write!(f, "shared memory became {value:#x}"),
            Self::NotSeen(address) => write!(f, "the host has no mark at {address:#x}"),
            Self::Found(times) => write!(f, "the host finds the secret {times} times"),
            Self::Bounds => f.write_str("memory is too small"),
        }
    }
}

/// What is written to a shared page, for all to see.
fn mark(round: u32, offset: usize) -> u64 {
    0x6B72_616D << 32 ^ u64::from(round) << 32 ^ offset as u64
}

/// Eight bytes that nobody else has.
fn secret() -> u64 {
    // SAFETY: reading the time stamp counter changes nothing.
    let time = unsafe { core::arch::x86_64::_rdtsc() };
    (time | 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
