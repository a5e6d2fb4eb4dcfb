//! The guest's own page tables, walked by the module. [SDM3 5.5]
//!
//! A TD has EFER.LME fixed at 1 [ABI-G 6], so it runs either without paging or
//! with 4 or 5 levels; the VMM too is walked in these modes only. Permissions are not
//! checked: whoever asks knows that the CPU has made the access.

use super::memory::GuestPhysical;
use super::vmcb::{Save, cr0, cr4, efer};

const PRESENT: u64 = 1 << 0;
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;

/// How the guest translates linear addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paging {
    /// CR3.
    pub cr3: u64,
    /// 0 = paging is off, else 4 or 5.
    pub levels: u8,
}

impl Paging {
    /// The paging mode of a guest; none for the 32-bit modes.
    #[must_use]
    pub(super) const fn of(save: &Save) -> Option<Self> {
        let is_long = save.efer & efer::LMA != 0;
        let levels = match (save.cr0 & cr0::PG != 0, save.cr4 & cr4::LA57 != 0) {
            (false, _) => 0,
            (true, _) if !is_long => return None,
            (true, false) => 4,
            (true, true) => 5,
        };
        Some(Self { cr3: save.cr3, levels })
    }
}

/// Translates `linear`; none if the guest does not map it, or if a table lies where
/// the guest cannot read. `visit` sees the address of each entry before it is read.
pub(super) fn walk<G: GuestPhysical + ?Sized>(
    guest: &G,
    paging: Paging,
    linear: u64,
    mut visit: impl FnMut(u64),
) -> Option<u64> {
    if paging.levels == 0 {
        return Some(linear & 0xFFFF_FFFF);
    }
    let mut table = paging.cr3 & ADDRESS;
    for level in (0..paging.levels).rev() {
        let shift = 12 + 9 * u32::from(level);
        let at = table + (linear >> shift & 0x1FF) * 8;
        visit(at);
        let entry = guest.read_u64(at)?;
        if entry & PRESENT == 0 {
            return None;
        }
        if level == 0 || entry & LARGE != 0 && level <= 2 {
            let offset = (1 << shift) - 1;
            return Some(entry & ADDRESS & !offset | linear & offset);
        }
        table = entry & ADDRESS;
    }
    None
}

/// Copies from `linear` what the guest can reach of `buf.len()` bytes; returns how many.
pub(super) fn read_linear<G: GuestPhysical + ?Sized>(
    guest: &G,
    paging: Paging,
    linear: u64,
    buf: &mut [u8],
) -> usize {
    let mut done = 0;
    while done < buf.len() {
        let at = linear.wrapping_add(done as u64);
        let in_page = (0x1000 - (at & 0xFFF)) as usize;
        let end = buf.len().min(done + in_page);
        let Some(gpa) = walk(guest, paging, at, |_| ()) else { break };
        if !guest.read(gpa, &mut buf[done..end]) {
            break;
        }
        done = end;
    }
    done
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::super::memory::fake::Sparse;
    use super::*;
    use std::vec::Vec;

    const SHARED: u64 = 1 << 47;

    /// PML4 at 0x1000: 4 KiB page at 0, hole at 0x1000, shared 2 MiB page at 2 MiB.
    fn guest() -> Sparse {
        let mut memory = Sparse::default();
        for (at, entry) in [
            (0x1000, 0x2000 | 3),
            (0x2000, 0x3000 | 3),
            (0x3000, 0x4000 | 3),
            (0x3008, SHARED | 0xFEC0_0000 | 0x83),
            (0x4000, 0x7000 | 3),
            (0x4010, 0x9000 | 3),
            (0x5000, 0x1000 | 3),
        ] {
            memory.write_u64(at, entry);
        }
        memory.write(0x7FFE, &[1, 2]);
        memory
    }

    #[test]
    fn pages_of_each_size_and_holes() {
        let guest = guest();
        for (cr3, levels) in [(0x1000, 4), (0x5000, 5)] {
            let paging = Paging { cr3, levels };
            let translate = |linear| walk(&guest, paging, linear, |_| ());
            assert_eq!(translate(0x123), Some(0x7123));
            assert_eq!(translate(0x1000), None);
            assert_eq!(translate(0x20_1234), Some(SHARED | 0xFEC0_1234));
        }
        assert_eq!(walk(&guest, Paging { cr3: 0, levels: 0 }, 1 << 32 | 5, |_| ()), Some(5));
    }

    #[test]
    fn the_entries_on_the_way_are_seen_even_if_the_walk_fails() {
        let mut seen = Vec::new();
        let paging = Paging { cr3: 0x1000, levels: 4 };
        assert_eq!(walk(&guest(), paging, 0x1000, |at| seen.push(at)), None);
        assert_eq!(seen, [0x1000, 0x2000, 0x3000, 0x4008]);
    }

    #[test]
    fn a_read_stops_where_the_guest_cannot_go_on() {
        let paging = Paging { cr3: 0x1000, levels: 4 };
        let mut buf = [9; 4];
        assert_eq!(read_linear(&guest(), paging, 0xFFE, &mut buf), 2);
        assert_eq!(buf, [1, 2, 9, 9]);
    }
}
