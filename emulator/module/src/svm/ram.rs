//! The identity-mapped physical memory of the machine.
//!
//! Two views: [`Identity`] is all of it, for the module's own page tables and
//! structures whose addresses the module has checked. [`Ram`] is what the leaves
//! may reach: RAM outside the module's range, everything else reads as zeros.
#![expect(unsafe_code, reason = "physical addresses become pointers here")]

use super::memory::Memory;

/// Ranges of RAM that are kept; a memory map has fewer.
pub(super) const MAX_RANGES: usize = 16;

/// All physical memory below 512 GiB at its own address.
#[derive(Debug)]
pub(super) struct Identity(());

impl Identity {
    /// The view.
    ///
    /// # Safety
    /// 1. Physical memory is mapped at its own address (the start code does that).
    /// 2. No Rust reference is ever made into memory that is reached through this view,
    ///    except short borrows by the module of a page it has checked to be its own.
    #[must_use]
    pub(super) const unsafe fn new() -> Self {
        Self(())
    }
}

const MAPPED: u64 = 512 << 30;

impl Memory for Identity {
    fn read(&self, pa: u64, buf: &mut [u8]) {
        debug_assert!(pa < MAPPED, "outside the map");
        let from = core::ptr::with_exposed_provenance::<u8>(pa as usize);
        // SAFETY: mapped, and not borrowed, by the contract of `new`; callers give addresses
        // of RAM.
        unsafe { core::ptr::copy(from, buf.as_mut_ptr(), buf.len()) };
    }

    fn write(&mut self, pa: u64, bytes: &[u8]) {
        debug_assert!(pa < MAPPED, "outside the map");
        let to = core::ptr::with_exposed_provenance_mut::<u8>(pa as usize);
        // SAFETY: as in `read`; callers give addresses of RAM that is no Rust object.
        unsafe { core::ptr::copy(bytes.as_ptr(), to, bytes.len()) };
    }

    fn zero(&mut self, pa: u64, len: u64) {
        debug_assert!(pa < MAPPED, "outside the map");
        let start = core::ptr::with_exposed_provenance_mut::<u8>(pa as usize);
        // SAFETY: as in `write`.
        unsafe { arch::zero::clear(start, len as usize) };
    }

    fn read_u64(&self, pa: u64) -> u64 {
        let from = core::ptr::with_exposed_provenance::<u64>(pa as usize & !7);
        // SAFETY: as in `read`; volatile, because the CPU sets accessed and dirty bits.
        unsafe { from.read_volatile() }
    }

    fn write_u64(&mut self, pa: u64, value: u64) {
        let to = core::ptr::with_exposed_provenance_mut::<u64>(pa as usize & !7);
        // SAFETY: as in `write`.
        unsafe { to.write_volatile(value) };
    }
}

/// Where RAM is.
#[derive(Clone, Debug, Default)]
pub(super) struct Ram {
    ranges: [(u64, u64); MAX_RANGES],
    count: usize,
}

impl Ram {
    /// No RAM.
    #[must_use]
    pub(super) const fn new() -> Self {
        Self { ranges: [(0, 0); MAX_RANGES], count: 0 }
    }

    /// Adds `[base, end)`, less the part in `hole`. Ranges that do not fit are left out.
    pub(super) fn add(&mut self, base: u64, end: u64, hole: (u64, u64)) {
        self.push(base, end.min(hole.0));
        self.push(base.max(hole.1), end);
    }

    fn push(&mut self, base: u64, end: u64) {
        let end = end.min(MAPPED);
        if base < end && self.count < MAX_RANGES {
            self.ranges[self.count] = (base, end);
            self.count += 1;
        }
    }

    /// The ranges as (start, end).
    #[must_use]
    pub(super) fn ranges(&self) -> &[(u64, u64)] {
        &self.ranges[..self.count]
    }

    /// Whether all of `[pa, pa + len)` is RAM.
    #[must_use]
    pub(super) fn holds(&self, pa: u64, len: u64) -> bool {
        let Some(end) = pa.checked_add(len) else { return false };
        self.ranges().iter().any(|range| range.0 <= pa && end <= range.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modules_range_is_not_ram() {
        let mut ram = Ram::new();
        ram.add(0, 0x9_FC00, (0x10_0000, 0x200_0000));
        ram.add(0x10_0000, 0x1000_0000, (0x10_0000, 0x200_0000));
        assert_eq!(ram.ranges(), [(0, 0x9_FC00), (0x200_0000, 0x1000_0000)]);
        assert!(ram.holds(0x200_0000, 4096) && ram.holds(0x7000, 4096));
        assert!(!ram.holds(0x1FF_FFFF, 2));
        assert!(!ram.holds(0x10_0000, 1) && !ram.holds(0xFEE0_0000, 4));
        assert!(!ram.holds(u64::MAX, 2));
    }
}
