//! Where shared pages are in the kernel's half of the address space.

use abi::SharedGpa;
use spin::Once;
use x86_64::VirtAddr;
use x86_64::structures::paging::PageTable;

/// The window's first linear address: that of the shared half of page 0.
static BASE: Once<u64> = Once::new();

/// Its size: one slot of the top table. What lies above in memory is not shared.
pub(super) const BYTES: u64 = 1 << 39;

/// Takes the highest unused slot below `devices`, where device memory is.
pub(in super::super) fn init(root: &PageTable, devices: VirtAddr) {
    let below = usize::from(devices.p4_index());
    let slot = (256..below).rev().find(|slot| root[*slot].is_unused());
    let slot = slot.expect("boot fills only a few top-level entries") as u64;
    BASE.call_once(|| VirtAddr::new_truncate(slot << 39).as_u64());
}

/// The linear address of the shared half of page 0. None before [`init`].
pub(super) fn base() -> Option<u64> {
    BASE.get().copied()
}

/// The linear address at which a shared page is mapped, if it is.
pub(in super::super) fn address_of(gpa: SharedGpa) -> Option<u64> {
    BASE.get().filter(|_| gpa.address() < BYTES).map(|base| base + gpa.address())
}
