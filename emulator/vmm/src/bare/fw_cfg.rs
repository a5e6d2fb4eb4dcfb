//! QEMU's fw_cfg: files by name, small ones through the port, large ones by DMA.
//! [TDVF 7.2]
#![expect(unsafe_code, reason = "ports, and a device that writes memory")]

use core::ptr;
use core::sync::atomic::{Ordering, fence};

use arch::port;

const SELECTOR: u16 = 0x510;
const DATA: u16 = 0x511;
const DMA_HIGH: u16 = 0x514;
const DMA_LOW: u16 = 0x518;

const SIGNATURE: u16 = 0;
const DIRECTORY: u16 = 0x19;
/// Files that QEMU can have; a bound for a directory that is not one.
const MAX_FILES: u32 = 0x4000;

const DMA_READ: u32 = 1 << 1;
const DMA_SELECT: u32 = 1 << 3;

/// A file in fw_cfg.
#[derive(Clone, Copy, Debug)]
pub(super) struct File {
    item: u16,
    size: u32,
}

/// What the device reads at the address written to it; all big-endian.
#[repr(C)]
struct DmaAccess {
    control: u32,
    length: u32,
    address: u64,
}

/// The file with this name.
pub(super) fn find(name: &str) -> Option<File> {
    select(SIGNATURE);
    if bytes::<4>() != *b"QEMU" {
        return None;
    }
    select(DIRECTORY);
    let count = u32::from_be_bytes(bytes());
    for _ in 0..count.min(MAX_FILES) {
        let size = u32::from_be_bytes(bytes());
        let item = u16::from_be_bytes(bytes());
        let _reserved = bytes::<2>();
        let entry = bytes::<56>();
        let len = entry.iter().position(|byte| *byte == 0).unwrap_or(entry.len());
        if &entry[..len] == name.as_bytes() {
            return Some(File { item, size });
        }
    }
    None
}

impl File {
    /// Its size.
    pub(super) fn len(self) -> usize {
        self.size as usize
    }

    /// Reads its first bytes through the port, one by one.
    pub(super) fn read_slowly(self, to: &mut [u8]) {
        select(self.item);
        to.fill_with(byte);
    }

    /// Reads its first bytes by DMA. `None`: the device reports an error.
    pub(super) fn read(self, to: &mut [u8]) -> Option<()> {
        let control = u32::from(self.item) << 16 | DMA_SELECT | DMA_READ;
        let mut access = DmaAccess {
            control: control.to_be(),
            length: u32::try_from(to.len()).ok()?.to_be(),
            address: (to.as_mut_ptr().expose_provenance() as u64).to_be(),
        };
        let at = (&raw mut access).expose_provenance() as u64;
        fence(Ordering::SeqCst);
        // SAFETY: the upper half of the address; has no effect by itself.
        unsafe { port::outl(DMA_HIGH, ((at >> 32) as u32).to_be()) };
        // SAFETY: starts the transfer: the device reads `access` and writes `to`, which is
        // borrowed mutably, and then `access.control`; memory is identity-mapped.
        unsafe { port::outl(DMA_LOW, (at as u32).to_be()) };
        loop {
            fence(Ordering::SeqCst);
            // SAFETY: a field of a local.
            match u32::from_be(unsafe { ptr::read_volatile(&raw const access.control) }) {
                0 => return Some(()),
                left if left & 1 != 0 => return None,
                _ => core::hint::spin_loop(),
            }
        }
    }
}

fn select(item: u16) {
    // SAFETY: selects an item; changes no memory.
    unsafe { port::outw(SELECTOR, item) };
}

fn byte() -> u8 {
    // SAFETY: reads the selected item's next byte.
    unsafe { port::inb(DATA) }
}

fn bytes<const N: usize>() -> [u8; N] {
    core::array::from_fn(|_| byte())
}
