//! The kernel's heap: `linked_list_allocator` behind a spin lock.
//!
//! Trap handlers and the panic path do not allocate: they may have interrupted the holder
//! of the lock.
#![expect(unsafe_code, reason = "the global allocator")]

use core::alloc::{GlobalAlloc, Layout};
use core::ops::Range;
use core::ptr::{self, NonNull};

use linked_list_allocator::Heap as FreeList;
use spin::Mutex;

static FREE_LIST: Mutex<FreeList> = Mutex::new(FreeList::empty());

/// The global allocator of every binary that starts by [`crate::main!`].
#[derive(Clone, Copy, Debug)]
pub struct Heap;

impl Heap {
    /// Bytes given to the heap.
    #[must_use]
    pub fn bytes(self) -> usize {
        FREE_LIST.lock().size()
    }

    /// Bytes in use.
    #[must_use]
    pub fn used_bytes(self) -> usize {
        FREE_LIST.lock().used()
    }

    /// Whether an address lies in the heap.
    #[must_use]
    pub fn contains(self, address: usize) -> bool {
        let list = FREE_LIST.lock();
        (list.bottom().addr()..list.top().addr()).contains(&address)
    }
}

/// Gives the heap its memory.
///
/// # Safety
/// `memory` is mapped and writable, used by nothing else for the rest of the run, and this
/// is the only call.
pub(super) unsafe fn init(memory: Range<*mut u8>) {
    let bytes = memory.end.addr() - memory.start.addr();
    // SAFETY: the caller gives the range away, and it is given once.
    unsafe { FREE_LIST.lock().init(memory.start, bytes) };
}

// SAFETY: the free list hands out disjoint blocks of the layout asked for, from memory that
// is its own, and the lock keeps its state whole.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        FREE_LIST.lock().allocate_first_fit(layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: by the trait's contract, `alloc` gave the block out for this layout.
            unsafe { FREE_LIST.lock().deallocate(block, layout) };
        }
    }
}
