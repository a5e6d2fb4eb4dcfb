//! The four pages: a private one and the device's, with the same content; and two private
//! ones, with the same content, for the other side of a string instruction.

use core::cell::UnsafeCell;

use abi::{GpaWidth, PAGE_SIZE, SharedGpa};
use kernel::Kernel;
use tdcall::ghci::{self, MmioWidth};

use crate::case::Difference;
use crate::random::Random;

/// The memory of QEMU's `pc-testdev`.
pub(crate) const DEVICE: u64 = 0xFF00_0000;

const BYTES: usize = PAGE_SIZE as usize;

#[repr(align(4096))]
struct Page(UnsafeCell<[u8; BYTES]>);

// SAFETY: there is one processor, and the pages are accessed by address alone.
unsafe impl Sync for Page {}

static PAGES: [Page; 3] = [const { Page(UnsafeCell::new([0; BYTES])) }; 3];

/// Virtual addresses of the pages.
pub(crate) struct Windows {
    /// Stands for the device where instructions run natively.
    pub(crate) native: u64,
    /// The device.
    pub(crate) device: u64,
    /// The other side, where instructions run natively.
    pub(crate) native_other: u64,
    /// The other side, where they are emulated.
    pub(crate) device_other: u64,
    width: GpaWidth,
}

impl Windows {
    /// Maps and fills the pages. None: there is no memory behind the device's address.
    pub(crate) fn map(kernel: &mut Kernel) -> Option<Self> {
        let device = kernel.memory.map_device(DEVICE);
        let at = |page: usize| PAGES[page].0.get().expose_provenance() as u64;
        let windows = Self {
            native: at(0),
            device: device.register(0).expose_provenance() as u64,
            native_other: at(1),
            device_other: at(2),
            width: kernel.vp.gpa_width()?,
        };
        let mut random = Random::new(0, u64::MAX);
        let mut check = 0;
        for offset in (0..BYTES).step_by(8) {
            let value = random.next();
            Self::write(windows.native, offset, value);
            Self::write(windows.native_other, offset, !value);
            Self::write(windows.device_other, offset, !value);
            ghci::mmio_write(windows.gpa_at(offset)?, MmioWidth::Qword, value).ok()?;
            check ^= value ^ windows.device_at(offset)?;
        }
        (check == 0).then_some(windows)
    }

    fn gpa_at(&self, offset: usize) -> Option<SharedGpa> {
        SharedGpa::try_new(DEVICE + offset as u64, self.width).ok()
    }

    fn device_at(&self, offset: usize) -> Option<u64> {
        ghci::mmio_read(self.gpa_at(offset)?, MmioWidth::Qword).ok()
    }

    fn read(page: u64, offset: usize) -> u64 {
        let at = core::ptr::with_exposed_provenance::<u64>(page as usize + offset);
        // SAFETY: inside a static page, which only generated code and this file access.
        unsafe { at.read_volatile() }
    }

    fn write(page: u64, offset: usize, value: u64) {
        let at = core::ptr::with_exposed_provenance_mut::<u64>(page as usize + offset);
        // SAFETY: as in `read`.
        unsafe { at.write_volatile(value) };
    }

    /// Some bytes of the emulated side's other page.
    pub(crate) fn other(&self, offset: usize, bytes: usize) -> u32 {
        let byte = |at: usize| {
            let at = core::ptr::with_exposed_provenance::<u8>(self.device_other as usize + at);
            // SAFETY: as in `read`.
            u32::from(unsafe { at.read_volatile() })
        };
        (0..bytes).fold(0, |value, index| value | byte(offset + index) << (8 * index))
    }

    /// Writes some bytes of the emulated side's other page.
    pub(crate) fn put_other(&self, offset: usize, value: u32, bytes: usize) {
        for (index, byte) in value.to_le_bytes().into_iter().take(bytes).enumerate() {
            let at = self.device_other as usize + offset + index;
            // SAFETY: as in `read`.
            unsafe { core::ptr::with_exposed_provenance_mut::<u8>(at).write_volatile(byte) };
        }
    }

    /// Compares the device with the page that stands for it, around an offset.
    pub(crate) fn compare(&self, around: usize, bytes: usize) -> Result<(), Difference> {
        let first = around.saturating_sub(bytes) & !7;
        for offset in (first..(around + bytes).min(BYTES)).step_by(8) {
            let native = Self::read(self.native, offset);
            let device = self.device_at(offset).ok_or(Difference::NoAnswer)?;
            if native != device {
                return Err(Difference::Memory { offset, native, device });
            }
        }
        Ok(())
    }

    /// Compares the other sides, and if it `is_time` the whole device.
    pub(crate) fn compare_all(&self, is_time: bool) -> Result<(), Difference> {
        for offset in (0..BYTES).step_by(8) {
            let native = Self::read(self.native_other, offset);
            let device = Self::read(self.device_other, offset);
            if native != device {
                return Err(Difference::Other { offset, native, device });
            }
        }
        if is_time { self.compare(0, BYTES) } else { Ok(()) }
    }
}
