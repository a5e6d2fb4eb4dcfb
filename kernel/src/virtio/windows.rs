//! Where the memory of PCI functions is mapped.

use alloc::vec::Vec;
use core::ops::Range;
use core::ptr::NonNull;

use abi::PAGE_SIZE;
use spin::Mutex;

use crate::Memory;

/// The largest memory that is mapped for one function.
pub(super) const MAX_BYTES: u64 = 8 * PAGE_SIZE;

static WINDOWS: Mutex<Windows> = Mutex::new(Windows(Vec::new()));

/// Maps device memory, of whole pages and at most [`MAX_BYTES`].
pub(super) fn map(memory: &mut Memory, range: Range<u64>) {
    let mut linear = None;
    for page in range.clone().step_by(PAGE_SIZE as usize) {
        // Device pages are mapped one behind the other.
        let page = memory.map_device(page).register(0).cast::<u8>();
        linear = linear.or(NonNull::new(page));
    }
    if let Some(linear) = linear {
        WINDOWS.lock().add(range, linear.expose_provenance().get());
    }
}

/// The linear address of `size` bytes at a physical address. None if they are not all mapped.
pub(super) fn find(address: u64, size: u64) -> Option<NonNull<u8>> {
    let linear = WINDOWS.lock().find(address, size)?;
    NonNull::new(core::ptr::with_exposed_provenance_mut(linear))
}

/// Ranges of physical addresses with their linear addresses.
struct Windows(Vec<(Range<u64>, usize)>);

impl Windows {
    fn add(&mut self, range: Range<u64>, linear: usize) {
        self.0.push((range, linear));
    }

    fn find(&self, address: u64, size: u64) -> Option<usize> {
        let end = address.checked_add(size)?;
        let is_in = |range: &Range<u64>| range.start <= address && end <= range.end;
        let (range, linear) = self.0.iter().find(|(range, _)| is_in(range))?;
        Some(linear + (address - range.start) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_all_mapped_is_not_found() {
        let mut windows = Windows(Vec::new());
        windows.add(0xC000_0000..0xC000_4000, 0x7000_0000);
        windows.add(0xC000_4000..0xC000_8000, 0x8000_0000);
        assert_eq!(windows.find(0xC000_1000, 0x3000), Some(0x7000_1000));
        assert_eq!(windows.find(0xC000_4000, 0x4000), Some(0x8000_0000));
        for (address, size) in
            [(0xBFFF_F000, 1), (0xC000_3FFF, 2), (0xC000_8000, 0x10), (u64::MAX, 1), (1, u64::MAX)]
        {
            assert_eq!(windows.find(address, size), None, "{address:#x}");
        }
    }
}
