//! Chooses virtual addresses for what the kernel does not place itself.
//!
//! As the reference loader does [TDVF 8.4]: in whole entries of the top table (512 GiB
//! each), the lowest free ones; what is fixed by the kernel or identity-mapped by the
//! loader is taken before anything is chosen, and so is all outside the kernel's range for
//! dynamic addresses.

use bootloader_api::BootloaderConfig;
use bootloader_api::config::Mapping;

use crate::config::ConfigError;
use crate::error::BootError;
use crate::paging::{MapError, VirtRange};

const ENTRIES: usize = 512;
/// Bits of an address below the index into the top table.
const ENTRY_SHIFT: u32 = 39;
const ENTRY_BYTES: u64 = 1 << ENTRY_SHIFT;

/// Which entries of the top table are taken.
#[derive(Clone, Debug)]
pub struct Addresses {
    taken: [bool; ENTRIES],
}

impl Addresses {
    /// Takes what is not free for choice: the identity-mapped range below
    /// `physical_end`, and all outside the configured dynamic range.
    #[must_use]
    pub fn new(config: &BootloaderConfig, physical_end: u64) -> Self {
        let mut taken = [false; ENTRIES];
        let mappings = &config.mappings;
        // The entry that holds the page before the start is not wholly in the range.
        if let Some(before) = mappings.dynamic_range_start.and_then(|s| (s & !0xFFF).checked_sub(1))
        {
            taken[..=entry(before)].fill(true);
        }
        if let Some(after) = mappings.dynamic_range_end.and_then(|e| (e | 0xFFF).checked_add(1)) {
            taken[entry(after)..].fill(true);
        }
        let mut this = Self { taken };
        this.take(0, physical_end);
        this
    }

    /// Takes the entries that `len` bytes from `start` on touch.
    pub fn take(&mut self, start: u64, len: u64) {
        if len >> ENTRY_SHIFT >= ENTRIES as u64 {
            return self.taken.fill(true);
        }
        let last = start.saturating_add(len.saturating_sub(1));
        self.taken[entry(start)..=entry(last).max(entry(start))].fill(true);
    }

    /// Takes what a fixed mapping occupies; nothing for a dynamic one.
    pub fn take_fixed(&mut self, mapping: Mapping, len: u64) {
        if let Mapping::FixedAddress(start) = mapping {
            self.take(start, len);
        }
    }

    /// The address of `mapping`: the fixed one, or a free one for `len` bytes.
    ///
    /// # Errors
    /// The fixed one is not a multiple of `alignment` (`what` names it) or no range of
    /// addresses; there is no free one.
    pub fn place(
        &mut self,
        mapping: Mapping,
        len: u64,
        alignment: u64,
        what: &'static str,
    ) -> Result<VirtRange, BootError> {
        let start = match mapping {
            Mapping::FixedAddress(address) => address,
            Mapping::Dynamic => self.free(len)?,
        };
        if !start.is_multiple_of(alignment) {
            return Err(ConfigError::UnalignedAddress { what, address: start, alignment }.into());
        }
        Ok(VirtRange::try_new(start, len)?)
    }

    /// Takes one free entry.
    ///
    /// # Errors
    /// There is none.
    pub fn free_entry(&mut self) -> Result<u16, MapError> {
        Ok(entry(self.free(ENTRY_BYTES)?) as u16)
    }

    /// Takes the lowest free entries in a row that hold `len` bytes; the lowest address.
    fn free(&mut self, len: u64) -> Result<u64, MapError> {
        let count = len.div_ceil(ENTRY_BYTES).max(1) as usize;
        let half = ENTRIES / 2;
        let first = (0..ENTRIES)
            // Not across the hole between the halves.
            .filter(|first| first / half == (first + count - 1) / half)
            .find(|first| self.taken[*first..first + count].iter().all(|taken| !taken))
            .ok_or(MapError::NoAddress { len })?;
        self.taken[first..first + count].fill(true);
        let low = (first as u64) << ENTRY_SHIFT;
        Ok(if first < half { low } else { low | 0xFFFF << 48 })
    }
}

/// The index of the top table's entry that maps `address`.
const fn entry(address: u64) -> usize {
    (address >> ENTRY_SHIFT) as usize % ENTRIES
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn place(addresses: &mut Addresses, len: u64) -> u64 {
        addresses.place(Mapping::Dynamic, len, 4096, "x").unwrap().start().as_u64()
    }

    #[test]
    fn the_lowest_free_entries_are_chosen() {
        let config = BootloaderConfig::new_default();
        let mut addresses = Addresses::new(&config, 4 * GIB);
        addresses.take(2 << 39, 1);
        addresses.take(0xFFFF_8000_0000_0000, 1);
        assert_eq!(place(&mut addresses, 1), 1 << 39);
        assert_eq!(place(&mut addresses, 1 << 39), 3 << 39);
        assert_eq!(place(&mut addresses, (1 << 39) + 1), 4 << 39);
        assert_eq!(addresses.free_entry(), Ok(6));
        assert_eq!(place(&mut addresses, 249 << 39), 7 << 39);
        assert_eq!(place(&mut addresses, 1), 0xFFFF_8080_0000_0000);
    }

    #[test]
    fn the_dynamic_range_is_kept() {
        let mut config = BootloaderConfig::new_default();
        config.mappings.dynamic_range_start = Some(0xFFFF_9000_0000_0000);
        config.mappings.dynamic_range_end = Some(0xFFFF_90FF_FFFF_FFFF);
        let mut addresses = Addresses::new(&config, 4 * GIB);
        assert_eq!(place(&mut addresses, 1), 0xFFFF_9000_0000_0000);
        assert_eq!(place(&mut addresses, 1), 0xFFFF_9080_0000_0000);
        let none = addresses.place(Mapping::Dynamic, 1, 4096, "x");
        assert_eq!(none, Err(MapError::NoAddress { len: 1 }.into()));
    }

    #[test]
    fn no_choice_reaches_across_the_hole() {
        let config = BootloaderConfig::new_default();
        let mut addresses = Addresses::new(&config, 4 * GIB);
        assert_eq!(place(&mut addresses, 254 << 39), 1 << 39);
        assert_eq!(place(&mut addresses, 2 << 39), 0xFFFF_8000_0000_0000);
        let error = addresses.place(Mapping::Dynamic, u64::MAX, 4096, "x");
        assert_eq!(error, Err(MapError::NoAddress { len: u64::MAX }.into()));
    }

    #[test]
    fn fixed_addresses_are_checked() {
        let config = BootloaderConfig::new_default();
        let mut addresses = Addresses::new(&config, 4 * GIB);
        let mut fixed = |address| addresses.place(Mapping::FixedAddress(address), 2, 4096, "x");
        assert!(fixed(0x1000).is_ok());
        assert!(matches!(fixed(0x1001), Err(BootError::Config(_))));
        assert!(matches!(fixed(0x0000_8000_0000_0000), Err(BootError::Map(_))));
    }
}
