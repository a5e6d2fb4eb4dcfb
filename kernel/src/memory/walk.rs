//! A read-only walk of the page tables: linear address to guest-physical. [SDM3 5.5.4]
//!
//! Four levels, as bootloader_api promises. Pure: entries come through a function.

/// Present.
const PRESENT: u64 = 1 << 0;
/// A leaf at level 2 (2 MiB) or 3 (1 GiB).
const LARGE: u64 = 1 << 7;
/// Bits 51:12: the address, with the SHARED bit where there is one.
const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;

/// The guest-physical address of `address`, SHARED bit included. None if it is not mapped,
/// or if `entry_at` does not give an entry of the walk.
pub(crate) fn translate(
    root: u64,
    address: u64,
    entry_at: impl Fn(u64) -> Option<u64>,
) -> Option<u64> {
    let mut table = root & ADDRESS;
    for level in (1..=4).rev() {
        let shift = 12 + 9 * (level - 1);
        let entry = entry_at(table + (address >> shift & 0x1FF) * 8)?;
        if entry & PRESENT == 0 {
            return None;
        }
        if level == 1 || (level < 4 && entry & LARGE != 0) {
            let in_page = (1 << shift) - 1;
            return Some(entry & ADDRESS & !in_page | address & in_page);
        }
        table = entry & ADDRESS;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const SHARED: u64 = 1 << 47;

    fn walk(entries: &[(u64, u64)], address: u64) -> Option<u64> {
        let entries: HashMap<u64, u64> = entries.iter().copied().collect();
        translate(0x1000 | 0x18, address, |at| Some(entries.get(&at).copied().unwrap_or(0)))
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
    fn a_hole_is_a_hole() {
        assert_eq!(walk(&[], 0), None);
        assert_eq!(walk(&[(0x1000, 0x2003), (0x2000, 0x3002)], 0), None);
        assert_eq!(translate(0x1000, 0, |_| None), None);
    }
}
