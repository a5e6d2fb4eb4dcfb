//! What is where: boot's map, and what may be touched.

use abi::{Gpa, PAGE_SIZE};
use bootloader_api::info::{MemoryRegion, MemoryRegionKind};
use spin::Once;

use super::areas::UNACCEPTED;
use super::{LAYOUT, heap};

static REGIONS: Once<&'static [MemoryRegion]> = Once::new();

/// What a guest-physical address, without SHARED bit, leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Private memory that is accepted: can be read by the physical mapping.
    Private,
    /// Memory that is not accepted: a touch ends the trust domain.
    Unaccepted,
    /// Memory that is shared with the host now.
    Shared,
    /// No memory: a device, or nothing.
    Device,
    /// No address of this trust domain.
    Nowhere,
}

/// Keeps boot's map.
pub(super) fn init(regions: &'static [MemoryRegion]) {
    REGIONS.call_once(|| regions);
}

/// Boot's map of memory, ascending.
#[must_use]
pub fn regions() -> &'static [MemoryRegion] {
    REGIONS.get().copied().unwrap_or(&[])
}

/// What is at `gpa`.
#[must_use]
pub fn place_of(gpa: u64) -> Place {
    let Some(layout) = LAYOUT.get() else { return Place::Nowhere };
    if !matches!(Gpa::try_new(gpa, layout.width), Ok(Gpa::Private(_))) {
        return Place::Nowhere;
    }
    let is_mapped = || layout.translate(layout.physical_offset + gpa).is_some();
    match region_of(regions(), gpa) {
        None => Place::Device,
        Some(UNACCEPTED) if heap::is_unaccepted(gpa) => Place::Unaccepted,
        Some(_) if is_mapped() => Place::Private,
        Some(_) => Place::Shared,
    }
}

/// The kind of the region that the page of `gpa` lies in, or touches.
fn region_of(regions: &[MemoryRegion], gpa: u64) -> Option<MemoryRegionKind> {
    let page = gpa - gpa % PAGE_SIZE;
    let touches = |region: &&MemoryRegion| region.start < page + PAGE_SIZE && page < region.end;
    regions.iter().find(touches).map(|region| region.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_memory_touches_is_no_devices() {
        let region = |start, end, kind| MemoryRegion { start, end, kind };
        let usable = MemoryRegionKind::Usable;
        let regions = [region(0, 0x9FC00, usable), region(0x10_0000, 0x20_0000, UNACCEPTED)];
        for (gpa, kind) in [
            (0, Some(usable)),
            (0x9FFFF, Some(usable)),
            (0xA_0000, None),
            (0x1F_FFFF, Some(UNACCEPTED)),
            (0x20_0000, None),
        ] {
            assert_eq!(region_of(&regions, gpa), kind, "{gpa:#x}");
        }
    }
}
