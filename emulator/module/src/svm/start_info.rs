//! The start info that the module hands to the VMM: the loader's memory map with
//! the module's range taken out. One page, at [`ADDRESS`].

use arch::pvh::{MAGIC, MemoryRange, RAM, RESERVED};

/// Physical address of the VMM's start info.
pub(super) const ADDRESS: u64 = 0x7000;
/// Entries that fit.
pub(super) const MAX_RANGES: usize = 64;
const HEADER: usize = 56;
const ENTRY: usize = 24;
/// Bytes of the image.
pub(super) const BYTES: usize = HEADER + ENTRY * MAX_RANGES;

/// Builds the image: header, then the map.
#[must_use]
pub(super) fn image(
    map: impl Iterator<Item = MemoryRange>,
    rsdp: u64,
    own: (u64, u64),
) -> [u8; BYTES] {
    let mut image = [0; BYTES];
    let mut count = 0u32;
    let mut put = |base: u64, end: u64, kind: u32| {
        let at = HEADER + ENTRY * count as usize;
        if base < end && at + ENTRY <= BYTES {
            image[at..at + 8].copy_from_slice(&base.to_le_bytes());
            image[at + 8..at + 16].copy_from_slice(&(end - base).to_le_bytes());
            image[at + 16..at + 20].copy_from_slice(&kind.to_le_bytes());
            count += 1;
        }
    };
    for MemoryRange { base, size, kind, .. } in map {
        let end = base.saturating_add(size);
        if kind != RAM {
            put(base, end, kind);
            continue;
        }
        put(base, end.min(own.0), RAM);
        put(base.max(own.0), end.min(own.1), RESERVED);
        put(base.max(own.1), end, RAM);
    }
    let fields = [
        (0, u64::from(MAGIC) | 1 << 32),
        (32, rsdp),
        (40, ADDRESS + HEADER as u64),
        (48, u64::from(count)),
    ];
    for (at, value) in fields {
        image[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(image: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(image[at..at + 8].try_into().expect("eight bytes"))
    }

    #[test]
    fn the_modules_range_is_reserved_and_the_rest_stays() {
        let ram = |base, size| MemoryRange { base, size, kind: RAM, reserved: 0 };
        let map = [ram(0, 0x9_FC00), ram(0x10_0000, 0xFF0_0000)];
        let image = image(map.into_iter(), 0xF_5AD0, (0x10_0000, 0x200_0000));
        assert_eq!(word(&image, 0), 0x1_336E_C578);
        assert_eq!((word(&image, 40), word(&image, 48)), (0x7038, 3));
        let row = |n: usize| {
            let at = 56 + 24 * n;
            (word(&image, at), word(&image, at + 8), word(&image, at + 16))
        };
        assert_eq!(row(0), (0, 0x9_FC00, 1));
        assert_eq!(row(1), (0x10_0000, 0x1F0_0000, 2));
        assert_eq!(row(2), (0x200_0000, 0xE00_0000, 1));
    }
}
