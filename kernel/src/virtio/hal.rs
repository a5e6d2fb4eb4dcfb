//! What the crate `virtio-drivers` needs of a kernel: memory for devices, and configuration
//! space.
//!
//! Every byte that a device reads or writes is in [`POOL`]: rings are its slots, buffers
//! are copied to slots and back. How much is copied follows from the driver's buffer alone, never
//! from what the device says.
#![expect(unsafe_code, reason = "what the crate's unsafe trait and functions promise")]

use core::ptr::NonNull;

use abi::PAGE_SIZE;
use virtio_drivers::transport::pci::bus::{ConfigurationAccess, DeviceFunction};
use virtio_drivers::{BufferDirection, Hal, PhysAddr};

use super::windows;
use crate::memory::shared::{POOL, SharedError, Slot};
use crate::pci::Snapshot;
use crate::println;

/// The kernel, as the crate asks for it.
#[derive(Debug)]
pub(super) struct Kernel;

// SAFETY: see each function.
unsafe impl Hal for Kernel {
    /// A slot of the pool: mapped, page aligned, zeros, and nobody else's until it is freed.
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        match POOL.lock().alloc(pages) {
            Ok(slot) => (slot.address, pointer(slot)),
            Err(error) => {
                println!("virtio: {error}");
                // Address 0 is the crate's word for a failure.
                (0, NonNull::dangling())
            }
        }
    }

    unsafe fn dma_dealloc(address: PhysAddr, _: NonNull<u8>, pages: usize) -> i32 {
        let mut pool = POOL.lock();
        let slot = pool.slot(address, pages);
        if slot.is_some_and(|slot| pool.free(slot)) { 0 } else { -1 }
    }

    /// A mapped window of device memory, where no Rust object is.
    unsafe fn mmio_phys_to_virt(address: PhysAddr, size: usize) -> NonNull<u8> {
        let found = windows::find(address, size as u64);
        found.unwrap_or_else(|| {
            panic!("{size:#x} bytes of device memory at {address:#x}: not mapped")
        })
    }

    unsafe fn share(buffer: NonNull<[u8]>, direction: BufferDirection) -> PhysAddr {
        let slot = if direction == BufferDirection::DeviceToDriver {
            POOL.lock().alloc(pages(buffer.len()))
        } else {
            // SAFETY: by the caller's promise it is valid, and nobody writes it meanwhile.
            POOL.lock().bounce(unsafe { buffer.as_ref() })
        };
        must(slot).address
    }

    unsafe fn unshare(address: PhysAddr, mut buffer: NonNull<[u8]>, direction: BufferDirection) {
        let mut pool = POOL.lock();
        let slot = pool.slot(address, pages(buffer.len()));
        let slot = slot.expect("a buffer is unshared by the address that share gave");
        if direction != BufferDirection::DriverToDevice {
            // SAFETY: by the caller's promise it is valid, and nobody else's meanwhile.
            let copied = pool.copy_out(slot, unsafe { buffer.as_mut() });
            copied.expect("a slot is as large as its buffer");
        }
        assert!(pool.free(slot), "the slot was in use");
    }
}

/// Sharing can not fail in the crate's interface.
fn must(slot: Result<Slot, SharedError>) -> Slot {
    slot.unwrap_or_else(|error| panic!("no bounce buffer for a virtio device: {error}"))
}

fn pointer(slot: Slot) -> NonNull<u8> {
    NonNull::new(slot.as_ptr()).expect("the pool is not mapped at address 0")
}

const fn pages(bytes: usize) -> usize {
    bytes.div_ceil(PAGE_SIZE as usize)
}

impl ConfigurationAccess for Snapshot {
    fn read_word(&self, at: DeviceFunction, offset: u8) -> u32 {
        if is_of(self, at) { self.word(offset) } else { u32::MAX }
    }

    fn write_word(&mut self, at: DeviceFunction, offset: u8, value: u32) {
        if is_of(self, at) {
            self.set_word(offset, value);
        }
    }

    unsafe fn unsafe_clone(&self) -> Self {
        self.clone()
    }
}

fn is_of(snapshot: &Snapshot, at: DeviceFunction) -> bool {
    (at.bus, at.device, at.function) == (0, snapshot.at.device, snapshot.at.function)
}
