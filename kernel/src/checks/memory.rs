//! Memory: accepted once and zero at first sight; private and shared by turns.
#![expect(unsafe_code, reason = "blocks of the heap, and what a page of one holds")]

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

use abi::{GhciStatus, PAGE_SIZE, PageLevel, PrivateGpa, Status};
use tdcall::ghci::VmcallError;

use super::step::{PATTERN, Steps};
use crate::memory::shared::{Cause, SharedError, SharedPages};
use crate::memory::{self, Heap};
use crate::td::Td;
use crate::{Kernel, println};

/// What is accepted at a time, and so how large a block has to be to need memory that is not.
const UNIT: usize = PageLevel::Size2M.bytes() as usize;
const PAGE: usize = PAGE_SIZE as usize;

/// The heap's next memory is zero, and the module knows that it is accepted.
pub(super) fn accept(steps: &mut Steps, kernel: &mut Kernel) {
    let before = memory::numbers().unaccepted;
    let Some(block) = Block::new(UNIT).or_else(|| Block::new(PAGE)) else {
        return steps.holds("the heap has a page", false);
    };
    if memory::numbers().unaccepted < before {
        // The unit that was accepted last has the block's end. Its first page is left out: the
        // heap may have noted its free memory there.
        let units = block.end() / UNIT * UNIT + PAGE;
        let fresh = units.max(block.start())..block.end();
        let dirty = fresh.clone().step_by(8).filter(|at| block.read(*at) != 0).count();
        steps.holds("some of the block is fresh", !fresh.is_empty());
        steps.equal("words of accepted memory that are not 0", dirty as u64, 0);
    } else {
        println!("# memory was accepted before: its first sight is gone");
    }
    again(steps, kernel, &block);
}

/// Accepting the block's last page again.
fn again(steps: &mut Steps, kernel: &Kernel, block: &Block) {
    let page = block.end() - PAGE;
    (page..block.end()).step_by(8).for_each(|at| block.write(at, PATTERN ^ at as u64));
    let gpa = kernel.memory.physical_address(page as u64);
    let gpa = gpa.and_then(|gpa| PrivateGpa::try_new(gpa, kernel.memory.gpa_width()).ok());
    let Some(gpa) = gpa else { return steps.holds("the block is private memory", false) };
    // SAFETY: the page is the block's, to which there is no reference.
    let status = unsafe { Td.mem_page_accept(gpa, PageLevel::Size4K) };
    let upper = status.with_detail(0).0;
    steps.equal("ACCEPT of an accepted page", upper, Status::PAGE_ALREADY_ACCEPTED.0);
    let kept = (page..block.end()).step_by(8).all(|at| block.read(at) == PATTERN ^ at as u64);
    steps.holds("the page is as it was", kept);
}

/// A page becomes shared, holds what is written, and becomes private again.
pub(super) fn convert(steps: &mut Steps, kernel: &mut Kernel) {
    let mut page = match SharedPages::new(1) {
        Ok(page) => page,
        Err(error) if is_unsupported(&error) => return steps.skip("the host has no MapGPA"),
        Err(error) => return failed(steps, "a page becomes shared", &error),
    };
    let width = kernel.memory.gpa_width();
    let at = kernel.memory.physical_address(page.as_ptr().addr() as u64);
    steps.equal("its address", at.unwrap_or(0), page.address() | width.shared_mask());
    let words = || (0..PAGE).step_by(8);
    let is_zero = words().all(|at| page.read(at) == Ok(0_u64));
    steps.holds("it is zero", is_zero);
    let is_written = words().all(|at| page.write(at, &(PATTERN ^ at as u64)).is_ok());
    let is_kept = words().all(|at| page.read(at) == Ok(PATTERN ^ at as u64));
    steps.holds("it keeps what is written", is_written && is_kept);
    match page.into_private() {
        Ok(()) => steps.holds("it becomes private again, and is zero", true),
        Err(error) => failed(steps, "it becomes private again, and is zero", &error),
    }
}

fn failed(steps: &mut Steps, step: &'static str, error: &SharedError) {
    println!("# {error}");
    steps.holds(step, false);
}

const fn is_unsupported(error: &SharedError) -> bool {
    let SharedError::Step { cause: Cause::MapGpa(stopped), .. } = error else { return false };
    matches!(stopped.error, VmcallError::Vmm(GhciStatus::SUBFUNC_UNSUPPORTED))
}

/// Memory of the heap, page by page, which nothing has written yet.
struct Block {
    memory: NonNull<u8>,
    layout: Layout,
}

impl Block {
    fn new(bytes: usize) -> Option<Self> {
        let layout = Layout::from_size_align(bytes, PAGE).ok()?;
        let memory = memory::try_alloc(layout).ok()?;
        Some(Self { memory, layout })
    }

    fn start(&self) -> usize {
        self.memory.addr().get()
    }

    fn end(&self) -> usize {
        self.start() + self.layout.size()
    }

    /// The word at an address of the block, a multiple of 8.
    fn read(&self, address: usize) -> u64 {
        // SAFETY: see `word`.
        unsafe { self.word(address).read_volatile() }
    }

    fn write(&self, address: usize, value: u64) {
        // SAFETY: see `word`; only this function writes.
        unsafe { self.word(address).write_volatile(value) };
    }

    /// A word of the block, which is mapped, ours and without a Rust object.
    fn word(&self, address: usize) -> *mut u64 {
        let offset = address - self.start();
        assert!(offset + 8 <= self.layout.size(), "{address:#x} is not in the block");
        self.memory.as_ptr().wrapping_add(offset).cast()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: the heap gave it for this layout, and nobody has an address of it.
        unsafe { Heap.dealloc(self.memory.as_ptr(), self.layout) };
    }
}
