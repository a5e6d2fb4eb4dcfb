//! The accesses themselves, each held to what can not hurt.
#![expect(unsafe_code, reason = "IN, OUT, and accesses to device memory")]

use core::ptr;

use arch::port;

use crate::Kernel;
use crate::memory::{self, Device, Place};

/// IN of 1, 2 or 4 bytes.
pub(super) fn port_read(number: u16, width: u64) -> u32 {
    match width {
        // SAFETY: a TD's ports are the host's devices, which do not reach private memory.
        1 => unsafe { port::inb(number) }.into(),
        // SAFETY: as above.
        2 => unsafe { port::inw(number) }.into(),
        // SAFETY: as above.
        _ => unsafe { port::inl(number) },
    }
}

/// OUT of 1, 2 or 4 bytes.
pub(super) fn port_write(number: u16, value: u32, width: u64) {
    match width {
        // SAFETY: as for `port_read`; what ends the machine is asked for.
        1 => unsafe { port::outb(number, value as u8) },
        // SAFETY: as above.
        2 => unsafe { port::outw(number, value as u16) },
        // SAFETY: as above.
        _ => unsafe { port::outl(number, value) },
    }
}

/// Reads private memory that is accepted; none elsewhere, and none that is not aligned.
pub(super) fn private(kernel: &Kernel, gpa: u64, width: u64) -> Option<u64> {
    if memory::place_of(gpa) != Place::Private || !gpa.is_multiple_of(width) {
        return None;
    }
    let at = kernel.memory.physical(gpa).expose_provenance();
    // SAFETY: the physical mapping has this page, and it can be touched.
    Some(unsafe { load(at, width) })
}

/// Reads from a device, at a multiple of the width.
pub(super) fn device_read(device: &Device, offset: u16, width: u64) -> u64 {
    // SAFETY: the page is mapped as a device's.
    unsafe { load(device.register(offset).expose_provenance(), width) }
}

/// Writes to a device, at a multiple of the width.
pub(super) fn device_write(device: &Device, offset: u16, value: u64, width: u64) {
    let at = device.register(offset).expose_provenance();
    match width {
        // SAFETY: the page is mapped as a device's, which does not reach private memory.
        1 => unsafe { place::<u8>(at).write_volatile(value as u8) },
        // SAFETY: as above.
        2 => unsafe { place::<u16>(at).write_volatile(value as u16) },
        // SAFETY: as above.
        4 => unsafe { place::<u32>(at).write_volatile(value as u32) },
        // SAFETY: as above.
        _ => unsafe { place::<u64>(at).write_volatile(value) },
    }
}

/// # Safety
/// `width` bytes at `at`, a multiple of it, can be read.
unsafe fn load(at: usize, width: u64) -> u64 {
    match width {
        // SAFETY: the caller's words.
        1 => unsafe { place::<u8>(at).read_volatile() }.into(),
        // SAFETY: as above.
        2 => unsafe { place::<u16>(at).read_volatile() }.into(),
        // SAFETY: as above.
        4 => unsafe { place::<u32>(at).read_volatile() }.into(),
        // SAFETY: as above.
        _ => unsafe { place::<u64>(at).read_volatile() },
    }
}

fn place<T>(at: usize) -> *mut T {
    ptr::with_exposed_provenance_mut(at)
}
