//! Everything that page tables map. [SDM3 5.5.4, 5.6.1]
//!
//! Pure: entries come through a function.

use super::walk::{ADDRESS, LARGE, PRESENT, WRITABLE};

/// No instruction is fetched.
const NO_EXECUTE: u64 = 1 << 63;
/// Entries of a table.
const ENTRIES: u64 = 512;

/// A page that is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Linear address.
    pub address: u64,
    /// Size of the page: 4 KiB, 2 MiB or 1 GiB.
    pub bytes: u64,
    /// Guest-physical address, SHARED bit included.
    pub gpa: u64,
    /// Every entry on the way allows writes.
    pub is_writable: bool,
    /// No entry on the way forbids execution.
    pub is_executable: bool,
}

/// Calls `visit` for each page that is mapped, ascending. False: an entry could not be read.
pub(crate) fn for_each(
    root: u64,
    entry_at: &impl Fn(u64) -> Option<u64>,
    visit: &mut impl FnMut(Mapping),
) -> bool {
    table(4, Mapping { gpa: root & ADDRESS, ..ALL }, entry_at, visit)
}

/// What the top table covers, as far as rights are concerned.
const ALL: Mapping =
    Mapping { address: 0, bytes: 1 << 48, gpa: 0, is_writable: true, is_executable: true };

/// Visits what a table of `level` maps; `covered` is its address and what it covers.
fn table(
    level: u32,
    covered: Mapping,
    entry_at: &impl Fn(u64) -> Option<u64>,
    visit: &mut impl FnMut(Mapping),
) -> bool {
    let bytes = covered.bytes / ENTRIES;
    (0..ENTRIES).all(|index| {
        let Some(entry) = entry_at(covered.gpa + 8 * index) else { return false };
        if entry & PRESENT == 0 {
            return true;
        }
        let address = (covered.address + index * bytes) << 16;
        let is_leaf = level == 1 || level < 4 && entry & LARGE != 0;
        let below = if is_leaf { bytes - 1 } else { 0 };
        let mapping = Mapping {
            address: (address.cast_signed() >> 16).cast_unsigned(),
            bytes,
            gpa: entry & ADDRESS & !below,
            is_writable: covered.is_writable && entry & WRITABLE != 0,
            is_executable: covered.is_executable && entry & NO_EXECUTE == 0,
        };
        if is_leaf {
            visit(mapping);
            return true;
        }
        table(level - 1, mapping, entry_at, visit)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::vec::Vec;

    use super::*;

    const WRITE: u64 = PRESENT | WRITABLE;

    fn mappings(entries: &[(u64, u64)]) -> Vec<Mapping> {
        let entries: HashMap<u64, u64> = entries.iter().copied().collect();
        let mut found = Vec::new();
        let entry_at = |at: u64| Some(entries.get(&at).copied().unwrap_or(0));
        assert!(for_each(0x1000 | 0x18, &entry_at, &mut |mapping| found.push(mapping)));
        found
    }

    fn rights(mapping: &Mapping) -> (bool, bool) {
        (mapping.is_writable, mapping.is_executable)
    }

    #[test]
    fn pages_of_each_size_are_found_where_they_are() {
        let found = mappings(&[
            (0x1000, 0x2000 | WRITE),
            (0x1FF8, 0x2000 | WRITE),
            (0x2008, 0x4000_1000 | LARGE | WRITE),
            (0x2010, 0x3000 | WRITE),
            (0x3008, 0x60_1000 | LARGE | PRESENT),
            (0x3010, 0x4000 | WRITE),
            (0x4FF8, 1 << 47 | 0x7000 | WRITE | NO_EXECUTE),
        ]);
        let places = [
            (0x4000_0000, 1 << 30, 0x4000_0000),
            (0x8020_0000, 1 << 21, 0x60_0000),
            (0x805F_F000, 1 << 12, 1 << 47 | 0x7000),
        ];
        assert_eq!(found.len(), 6);
        for (base, half) in [(0, &found[..3]), (0xFFFF_FF80_0000_0000, &found[3..])] {
            for ((address, bytes, gpa), mapping) in places.iter().zip(half) {
                let expected = (base + address, *bytes, *gpa);
                assert_eq!((mapping.address, mapping.bytes, mapping.gpa), expected);
            }
            let expected = [(true, true), (false, true), (true, false)];
            assert!(half.iter().map(rights).eq(expected));
        }
    }

    #[test]
    fn every_level_can_take_a_right_away() {
        let levels = [(0x1000, 0x2000), (0x2000, 0x3000), (0x3000, 0x4000), (0x4000, 0x5000)];
        let all = levels.map(|(at, entry)| (at, entry | WRITE));
        assert_eq!(rights(&mappings(&all)[0]), (true, true));
        for level in 0..levels.len() {
            let mut entries = all;
            entries[level].1 &= !WRITABLE;
            assert_eq!(rights(&mappings(&entries)[0]), (false, true));
            entries[level].1 |= WRITABLE | NO_EXECUTE;
            assert_eq!(rights(&mappings(&entries)[0]), (true, false));
        }
    }

    #[test]
    fn a_table_that_cannot_be_read_is_told() {
        assert!(!for_each(0x1000, &|_| None, &mut |_| {}));
        let entry_at = |at: u64| if at < 0x2000 { Some(0x2000 | PRESENT) } else { None };
        assert!(!for_each(0x1000, &entry_at, &mut |_| {}));
    }
}
