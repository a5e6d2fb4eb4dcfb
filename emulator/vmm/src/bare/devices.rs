//! QEMU's devices for the TD, as far as the library lets it.
#![expect(unsafe_code, reason = "IN and OUT, registers in memory space")]

use core::ptr;

use abi::IoWidth;
use arch::port;
use vmm::seam::Devices;

/// All of them. What the library passes on changes no memory of the VMM.
#[derive(Debug)]
pub(super) struct Ports;

impl Devices for Ports {
    fn port_read(&mut self, port: u16, width: IoWidth) -> u32 {
        match width {
            // SAFETY: the library's list has no device that writes memory.
            IoWidth::Byte => unsafe { port::inb(port) }.into(),
            // SAFETY: as above.
            IoWidth::Word => unsafe { port::inw(port) }.into(),
            // SAFETY: as above.
            IoWidth::Dword => unsafe { port::inl(port) },
        }
    }

    fn port_write(&mut self, port: u16, width: IoWidth, value: u32) {
        match width {
            // SAFETY: the library's list has no device that writes memory.
            IoWidth::Byte => unsafe { port::outb(port, value as u8) },
            // SAFETY: as above.
            IoWidth::Word => unsafe { port::outw(port, value as u16) },
            // SAFETY: as above.
            IoWidth::Dword => unsafe { port::outl(port, value) },
        }
    }

    fn register_read(&mut self, address: u64, width: IoWidth) -> u32 {
        let address = address as usize;
        match width {
            // SAFETY: a device register, identity-mapped; no Rust object is there.
            IoWidth::Byte => unsafe { register::<u8>(address).read_volatile() }.into(),
            // SAFETY: as above.
            IoWidth::Word => unsafe { register::<u16>(address).read_volatile() }.into(),
            // SAFETY: as above.
            IoWidth::Dword => unsafe { register::<u32>(address).read_volatile() },
        }
    }

    fn register_write(&mut self, address: u64, width: IoWidth, value: u32) {
        let address = address as usize;
        match width {
            // SAFETY: a device register, identity-mapped; no Rust object is there.
            IoWidth::Byte => unsafe { register::<u8>(address).write_volatile(value as u8) },
            // SAFETY: as above.
            IoWidth::Word => unsafe { register::<u16>(address).write_volatile(value as u16) },
            // SAFETY: as above.
            IoWidth::Dword => unsafe { register::<u32>(address).write_volatile(value) },
        }
    }
}

fn register<T>(address: usize) -> *mut T {
    ptr::with_exposed_provenance_mut(address)
}
