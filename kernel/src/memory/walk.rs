//! A read-only walk of the page tables: linear address to guest-physical. [SDM3 5.5.4]
//!
//! Four levels, as bootloader_api promises. Pure: entries come through a function.

/// Present.
pub(crate) const PRESENT: u64 = 1 << 0;
/// A leaf at level 2 (2 MiB) or 3 (1 GiB).
pub(crate) const LARGE: u64 = 1 << 7;
/// Writable.
pub(crate) const WRITABLE: u64 = 1 << 1;
/// Bits 51:12: the address, with the SHARED bit where there is one.
pub(crate) const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;

/// Where a linear address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Translation {
    /// Guest-physical address, SHARED bit included.
    pub(crate) gpa: u64,
    /// Every entry of the walk allows writes.
    pub(crate) is_writable: bool,
}

/// The translation of `address`. None if it is not canonical or not mapped, or if `entry_at`
/// does not give an entry of the walk.
pub(crate) fn translate(
    root: u64,
    address: u64,
    entry_at: impl Fn(u64) -> Option<u64>,
) -> Option<Translation> {
    if !is_canonical(address) {
        return None;
    }
    let mut table = root & ADDRESS;
    let mut is_writable = true;
    for level in (1..=4).rev() {
        let shift = 12 + 9 * (level - 1);
        let entry = entry_at(table + (address >> shift & 0x1FF) * 8)?;
        if entry & PRESENT == 0 {
            return None;
        }
        is_writable &= entry & WRITABLE != 0;
        if level == 1 || (level < 4 && entry & LARGE != 0) {
            let in_page = (1 << shift) - 1;
            let gpa = entry & ADDRESS & !in_page | address & in_page;
            return Some(Translation { gpa, is_writable });
        }
        table = entry & ADDRESS;
    }
    None
}

/// Bits 63:48 are copies of bit 47.
pub(crate) const fn is_canonical(address: u64) -> bool {
    (address << 16).cast_signed() >> 16 == address.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const SHARED: u64 = 1 << 47;

    fn translation(entries: &[(u64, u64)], address: u64) -> Option<Translation> {
        let entries: HashMap<u64, u64> = entries.iter().copied().collect();
        translate(0x1000 | 0x18, address, |at| Some(entries.get(&at).copied().unwrap_or(0)))
    }

    fn walk(entries: &[(u64, u64)], address: u64) -> Option<u64> {
        translation(entries, address).map(|translation| translation.gpa)
    }

    #[test]
    fn pages_of_each_size_are_found() {
        let address = 0xFFFF_FFFF_8020_3456;
        let top = (0x1FF8, 0x2003);
        assert_eq!(
            walk(&[top, (0x2FF0, 0x3003), (0x3008, 0x4003), (0x4018, 0x7003 | 1 << 63)], address),
            Some(0x7456)
        );
        assert_eq!(walk(&[top, (0x2FF0, 0x3003), (0x3008, 0x80_0083)], address), Some(0x80_3456));
        assert_eq!(walk(&[top, (0x2FF0, 0x4000_0083)], address), Some(0x4020_3456));
    }

    #[test]
    fn the_shared_bit_is_part_of_the_address() {
        let entries =
            [(0x1000, 0x2003), (0x2000, 0x3003), (0x3000, 0x4003), (0x4000, SHARED | 0x5003)];
        assert_eq!(walk(&entries, 0x123), Some(SHARED | 0x5123));
    }

    #[test]
    fn a_page_is_writable_if_every_level_says_so() {
        let levels = [(0x1000, 0x2003), (0x2000, 0x3003), (0x3000, 0x4003), (0x4000, 0x5003)];
        let is_writable = |entries: &[(u64, u64)]| translation(entries, 0).unwrap().is_writable;
        assert!(is_writable(&levels));
        for level in 0..levels.len() {
            let mut entries = levels;
            entries[level].1 &= !2;
            assert!(!is_writable(&entries), "level {level}");
        }
    }

    #[test]
    fn an_address_that_is_not_canonical_leads_nowhere() {
        let entries = [(0x1000, 0x2003), (0x1800, 0x2003), (0x2000, 0x4000_0083)];
        assert_eq!(walk(&entries, 0), Some(0x4000_0000));
        assert_eq!(walk(&entries, 0xFFFF_8000_0000_0000), Some(0x4000_0000));
        for address in [1 << 48, 1 << 63, 0x0000_8000_0000_0000, 0xFFFF_0000_0000_0000] {
            assert_eq!(walk(&entries, address), None, "{address:#x}");
        }
    }

    #[test]
    fn a_hole_is_a_hole() {
        assert_eq!(walk(&[], 0), None);
        assert_eq!(walk(&[(0x1000, 0x2003), (0x2000, 0x3002)], 0), None);
        assert_eq!(translate(0x1000, 0, |_| None), None);
    }
}
