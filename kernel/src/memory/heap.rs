//! The kernel's heap: a [`Store`] behind a spin lock.
//!
//! Trap handlers and the panic path do not allocate and do not wait for the lock: they may
//! have interrupted its holder.
//!
//! An allocation for which there is no memory is null, which `alloc` makes a panic, and
//! [`crate::panic`] one with numbers; [`try_alloc`] makes it an error value. Memory that
//! cannot be accepted is a panic: that is an attack, or a bug.
#![expect(unsafe_code, reason = "the global allocator")]

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use abi::{GpaWidth, PageLevel, PrivateGpa, Status};
use bootloader_api::info::MemoryRegion;
use spin::{Mutex, Once};
use tdcall::accept::Accept;

use super::areas::Areas;
use super::numbers::{Numbers, OutOfMemory};
use super::store::{NoRoom, Store};
use crate::td::Td;

static STORE: Mutex<Store> = Mutex::new(Store::EMPTY);

/// Memory is accepted in the background, and some is left.
static BACKGROUND: AtomicBool = AtomicBool::new(false);
/// Boot's map.
static MAP: Once<&'static [MemoryRegion]> = Once::new();
/// Bytes in boot's map.
static TOTAL_BYTES: AtomicU64 = AtomicU64::new(0);

/// The TDX module, for memory that boot left.
struct Module;

impl Accept for Module {
    fn mem_page_accept(&mut self, gpa: PrivateGpa, level: PageLevel) -> Status {
        // SAFETY: the store asks for memory that was left to it, before it hands it out.
        unsafe { Td.mem_page_accept(gpa, level) }
    }
}

/// The global allocator of every binary that starts by [`crate::main!`].
#[derive(Clone, Copy, Debug)]
pub struct Heap;

impl Heap {
    /// Bytes that it can grow to.
    #[must_use]
    pub fn bytes(self) -> usize {
        STORE.lock().bytes() as usize
    }

    /// Bytes in use.
    #[must_use]
    pub fn used_bytes(self) -> usize {
        STORE.lock().used_bytes() as usize
    }

    /// Whether an address lies in memory that the heap has accepted and uses.
    #[must_use]
    pub fn contains(self, address: usize) -> bool {
        STORE.lock().contains(address)
    }
}

/// Gives the heap its memory.
///
/// # Errors
/// There is too little of it to note what is not accepted.
///
/// # Safety
/// This is the only call. `areas` are the areas of `regions`; at `offset` all of them are
/// mapped and writable, nothing else uses them for the rest of the run, and what is called
/// usable is accepted.
pub(super) unsafe fn init(
    areas: &Areas,
    regions: &'static [MemoryRegion],
    width: GpaWidth,
    offset: u64,
) -> Result<(), NoRoom> {
    TOTAL_BYTES.store(areas.total_bytes, Ordering::Relaxed);
    MAP.call_once(|| regions);
    // SAFETY: the caller's words.
    unsafe { STORE.lock().init(areas, regions, width, offset) }
}

/// Boot's map of memory: ascending, and as it was when the kernel started.
#[must_use]
pub fn map() -> &'static [MemoryRegion] {
    MAP.get().copied().unwrap_or_default()
}

/// A block of memory; its bytes are whatever they are. [`GlobalAlloc::dealloc`] of [`Heap`]
/// takes it back.
///
/// # Errors
/// There is no memory for it.
///
/// # Panics
/// Memory that it needs cannot be accepted.
pub fn try_alloc(layout: Layout) -> Result<NonNull<u8>, OutOfMemory> {
    let block = allocate(layout);
    block.ok_or_else(|| OutOfMemory { asked: layout.size(), numbers: try_numbers() })
}

fn allocate(layout: Layout) -> Option<NonNull<u8>> {
    let result = STORE.lock().allocate(&mut Module, layout);
    result.unwrap_or_else(|error| panic!("{error}"))
}

/// Memory in numbers, now.
#[must_use]
pub fn numbers() -> Numbers {
    numbers_of(&STORE.lock())
}

/// The same for those who may have interrupted the heap; `None` if they did.
#[must_use]
pub fn try_numbers() -> Option<Numbers> {
    STORE.try_lock().map(|store| numbers_of(&store))
}

/// With `accept=background`, accepts a unit of 2 MiB before it is needed. False: there is
/// none left, or it was not asked for. For when there is nothing else to do, and not for trap
/// handlers.
///
/// # Panics
/// The unit cannot be accepted.
pub fn accept_in_background() -> bool {
    if !BACKGROUND.load(Ordering::Relaxed) {
        return false;
    }
    let is_one = STORE.lock().accept_one(&mut Module).unwrap_or_else(|error| panic!("{error}"));
    BACKGROUND.store(is_one, Ordering::Relaxed);
    is_one
}

/// Whether the page of a guest-physical address is left to be accepted.
pub(super) fn is_unaccepted(gpa: u64) -> bool {
    STORE.lock().is_unaccepted(gpa)
}

/// From here on [`accept_in_background`] works.
pub(super) fn start_background() {
    BACKGROUND.store(true, Ordering::Relaxed);
}

fn numbers_of(store: &Store) -> Numbers {
    let total = TOTAL_BYTES.load(Ordering::Relaxed);
    let unaccepted = store.unaccepted_bytes();
    Numbers {
        total,
        usable: store.bytes(),
        accepted: total.saturating_sub(unaccepted),
        unaccepted,
        heap_used: store.used_bytes(),
        shared: super::shared::numbers().shared_bytes as u64,
    }
}

// SAFETY: the store hands out disjoint blocks of the layout asked for, from memory that is
// its own, and the lock keeps its state whole.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        allocate(layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: by the trait's contract, `alloc` gave the block out for this layout.
            unsafe { STORE.lock().deallocate(block, layout) };
        }
    }
}
