//! Memory that boot left for the kernel to accept: one bit for each unit of 2 MiB. [TDVF 9.2]
//!
//! A set bit: some of the unit's memory is not accepted. It is cleared when the unit is
//! accepted, which happens once: asking again is a bug, because a page that is accepted
//! twice is how a host puts another page in the place of one in use. Memory is accepted
//! before it is given out, never by a fault: with SEPT_VE_DISABLE there is none.
//!
//! Pure: the bits' memory and the TDX module are the caller's.

use core::ops::Range;

use abi::{GpaWidth, PageLevel};
use bootloader_api::info::MemoryRegion;
use tdcall::accept::{self, Accept, AcceptError, Accepted};

use super::areas;

/// Bytes of a unit: what is accepted at a time.
pub(crate) const UNIT: u64 = PageLevel::Size2M.bytes();

/// The unaccepted memory.
#[derive(Debug)]
pub(crate) struct Unaccepted {
    /// Boot's map.
    regions: &'static [MemoryRegion],
    width: GpaWidth,
    bits: &'static mut [u64],
    /// No bit is set in words below this one.
    first_word: usize,
    /// What was accepted.
    accepted: Accepted,
    /// Bytes left.
    bytes: u64,
}

impl Unaccepted {
    /// Words that the bits for `regions` need.
    pub(crate) fn words(regions: &[MemoryRegion]) -> usize {
        let end = unaccepted(regions).map(|range| range.end).max().unwrap_or(0);
        end.div_ceil(UNIT).div_ceil(64) as usize
    }

    /// The unaccepted memory of boot's map; `bits` are at least [`Self::words`] words.
    pub(crate) fn new(
        regions: &'static [MemoryRegion],
        width: GpaWidth,
        bits: &'static mut [u64],
    ) -> Self {
        bits.fill(0);
        for range in unaccepted(regions) {
            set(bits, range.start / UNIT..range.end.div_ceil(UNIT));
        }
        let bytes = unaccepted(regions).map(|range| range.end - range.start).sum();
        Self { regions, width, bits, first_word: 0, accepted: Accepted::default(), bytes }
    }

    /// Whether some of the unit that `address` lies in is still to be accepted.
    pub(crate) fn contains(&self, address: u64) -> bool {
        let (word, bit) = place(address);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Accepts the unit that `address` lies in.
    ///
    /// # Errors
    /// Those of [`accept::accept_range`]; the unit is not asked for again.
    ///
    /// # Panics
    /// It is accepted already.
    pub(crate) fn accept(&mut self, td: &mut impl Accept, address: u64) -> Result<(), AcceptError> {
        self.clear(address);
        let unit = address - address % UNIT;
        for range in unaccepted(self.regions) {
            let range = range.start.max(unit)..range.end.min(unit + UNIT);
            if !range.is_empty() {
                self.bytes -= range.end - range.start;
                accept::accept_range(td, range, self.width, &mut self.accepted)?;
            }
        }
        Ok(())
    }

    fn clear(&mut self, address: u64) {
        assert!(self.contains(address), "the kernel accepts {address:#x} a second time");
        let (word, bit) = place(address);
        self.bits[word] &= !bit;
    }

    /// The lowest unit with unaccepted memory.
    pub(crate) fn first(&mut self) -> Option<u64> {
        let words = self.bits.iter().enumerate().skip(self.first_word);
        let found = words.map(|(index, word)| (index, *word)).find(|(_, word)| *word != 0);
        let (index, word) = found.unwrap_or((self.bits.len(), 0));
        self.first_word = index;
        (word != 0).then(|| (index as u64 * 64 + u64::from(word.trailing_zeros())) * UNIT)
    }

    /// Bytes that are still to be accepted.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// The unaccepted ranges, by whole pages as all of boot's ranges are.
fn unaccepted(regions: &[MemoryRegion]) -> impl Iterator<Item = Range<u64>> {
    let regions = regions.iter().filter(|region| region.kind == areas::UNACCEPTED);
    regions.map(|region| region.start..region.end)
}

/// Word and bit of an address's unit.
const fn place(address: u64) -> (usize, u64) {
    let unit = address / UNIT;
    ((unit / 64) as usize, 1 << (unit % 64))
}

/// Sets the bits of `units`, a word at a time.
fn set(bits: &mut [u64], units: Range<u64>) {
    let mut at = units.start;
    while at < units.end {
        let next = ((at / 64 + 1) * 64).min(units.end);
        let (word, first_bit) = place(at * UNIT);
        let count = next - at;
        let ones = if count == 64 { u64::MAX } else { (1 << count) - 1 };
        bits[word] |= ones << first_bit.trailing_zeros();
        at = next;
    }
}

#[cfg(test)]
mod tests;
