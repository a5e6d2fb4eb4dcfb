//! A function's configuration space, copied once and checked.
//!
//! Whoever works on the copy finds: base address registers that lie in the window or are
//! absent, and that can be sized by the usual writes; a list of capabilities that ends, each
//! of which lies in the 256 bytes. The host can not change it any more.

use core::ops::Range;

use tdcall::ghci::VmcallError;

use super::{Address, BUS_MASTER, Config, INTX_DISABLE, MEMORY, Window, register};

/// Registers of four bytes.
pub const WORDS: usize = 64;

/// Base address registers of a type 0 header.
const BARS: usize = 6;
/// Number of the first one.
const FIRST_BAR: usize = register::BAR as usize / 4;
/// STATUS: there is a list of capabilities.
const HAS_CAPABILITIES: u32 = 1 << 20;
/// Where capabilities can stand.
const CAPABILITY_AREA: u8 = 0x40;
/// A capability of the vendor's own.
const VENDOR: u8 = 0x09;

/// A base address register is a port.
const IO: u32 = 1 << 0;
/// The type of a memory register, bits 2:1.
const TYPE: u32 = 3 << 1;
/// 64 bits wide: the next register is the upper half.
const TYPE_64: u32 = 2 << 1;
/// Bits of a memory register that are no address.
const FLAGS: u32 = 0xF;

/// The copy.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The function.
    pub at: Address,
    words: [u32; WORDS],
    /// Bits of each base address register that are address.
    masks: [u32; BARS],
    /// First address and size of each memory register.
    memory: [Option<(u64, u64)>; BARS],
}

/// Why a function is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// The host refused an access.
    Host(VmcallError),
    /// No room is left in the window for this many bytes, or they are no power of two.
    NoRoom(u64),
    /// A base address register of a kind that there is not.
    BadRegister(u8),
    /// The capability here is not in the 256 bytes, or was there before.
    BadList(u8),
}

impl From<VmcallError> for Unusable {
    fn from(error: VmcallError) -> Self {
        Self::Host(error)
    }
}

impl core::fmt::Display for Unusable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Host(error) => write!(f, "PCI configuration space: {error}"),
            Self::NoRoom(size) => write!(f, "no room for {size:#x} bytes of PCI memory"),
            Self::BadRegister(at) => write!(f, "bad base address register {at:#x}"),
            Self::BadList(at) => write!(f, "bad PCI capability at {at:#x}"),
        }
    }
}

impl Snapshot {
    /// Places the memory of the function at `at`, switches memory and bus mastering on, and
    /// copies the configuration space.
    pub fn take(
        config: &mut impl Config,
        at: Address,
        window: &mut Window,
    ) -> Result<Self, Unusable> {
        config.write(at, register::COMMAND, 0)?;
        let mut words = [0; WORDS];
        for (offset, word) in (0..=u8::MAX).step_by(4).zip(&mut words) {
            *word = config.read(at, offset)?;
        }
        let mut snapshot = Self { at, words, masks: [0; BARS], memory: [None; BARS] };
        snapshot.place(config, window)?;
        snapshot.check_capabilities()?;
        snapshot.switch_on(config)?;
        Ok(snapshot)
    }

    /// Switches memory and bus mastering on, and the interrupt pin off.
    pub fn switch_on(&mut self, config: &mut impl Config) -> Result<(), VmcallError> {
        self.command(config, MEMORY | BUS_MASTER | INTX_DISABLE)
    }

    /// Switches the function off; the addresses stay.
    pub fn switch_off(&mut self, config: &mut impl Config) -> Result<(), VmcallError> {
        self.command(config, INTX_DISABLE)
    }

    fn command(&mut self, config: &mut impl Config, value: u32) -> Result<(), VmcallError> {
        let word = &mut self.words[usize::from(register::COMMAND) / 4];
        *word = *word & !0xFFFF | value;
        config.write(self.at, register::COMMAND, value)
    }

    /// A register; 0 for a base address register that is absent.
    #[must_use]
    pub const fn word(&self, offset: u8) -> u32 {
        self.words[offset as usize / 4]
    }

    /// A write to the copy: base address registers take what they could, the rest nothing.
    pub const fn set_word(&mut self, offset: u8, value: u32) {
        let index = offset as usize / 4;
        if index >= FIRST_BAR && index < FIRST_BAR + BARS {
            let mask = self.masks[index - FIRST_BAR];
            self.words[index] = self.words[index] & !mask | value & mask;
        }
    }

    /// Addresses of the memory register with this number.
    #[must_use]
    pub fn memory(&self, index: u8) -> Option<Range<u64>> {
        let (start, size) = self.memory.get(usize::from(index)).copied().flatten()?;
        Some(start..start + size)
    }

    /// The vendor's capabilities: offset, length, and the byte behind it.
    pub fn vendor_capabilities(&self) -> impl Iterator<Item = (u8, u8, u8)> + '_ {
        let header = |offset| self.word(offset);
        let all = self.capabilities().filter_map(Result::ok).map(move |at| (at, header(at)));
        let vendors = all.filter(|(_, header)| *header as u8 == VENDOR);
        vendors.map(|(at, header)| (at, (header >> 16) as u8, (header >> 24) as u8))
    }

    /// Sizes each memory register and gives it an address. All are below 4 GiB.
    fn place(&mut self, config: &mut impl Config, window: &mut Window) -> Result<(), Unusable> {
        let mut index = 0;
        while index < BARS {
            let offset = register::BAR + 4 * index as u8;
            let (low, low_mask) = self.size(config, offset)?;
            let is_wide = low & (IO | TYPE) == TYPE_64;
            let next = index + 1 + usize::from(is_wide);
            if low_mask == 0 || low & IO != 0 {
                self.words[FIRST_BAR + index] = 0;
                index = next;
                continue;
            }
            if next > BARS || !is_wide && low & TYPE != 0 {
                return Err(Unusable::BadRegister(offset));
            }
            let high_mask = if is_wide { self.size(config, offset + 4)?.1 } else { u32::MAX };
            let low_mask = low_mask & !FLAGS;
            let mask = u64::from(high_mask) << 32 | u64::from(low_mask);
            let size = (!mask).wrapping_add(1);
            let address = window.take(size).ok_or(Unusable::NoRoom(size))?;
            config.write(self.at, offset, address as u32)?;
            self.words[FIRST_BAR + index] = address as u32 | low & FLAGS;
            self.masks[index] = low_mask;
            self.memory[index] = Some((address, size));
            if is_wide {
                config.write(self.at, offset + 4, 0)?;
                self.words[FIRST_BAR + index + 1] = 0;
                self.masks[index + 1] = high_mask;
            }
            index = next;
        }
        Ok(())
    }

    /// A base address register, and which of its bits can be written.
    fn size(&self, config: &mut impl Config, offset: u8) -> Result<(u32, u32), VmcallError> {
        let value = self.word(offset);
        config.write(self.at, offset, u32::MAX)?;
        let ones = config.read(self.at, offset)?;
        config.write(self.at, offset, 0)?;
        let zeros = config.read(self.at, offset)?;
        Ok((value, ones & !zeros))
    }

    fn check_capabilities(&self) -> Result<(), Unusable> {
        self.capabilities().try_for_each(|capability| capability.map(drop))
    }

    /// The list. After an error it ends.
    fn capabilities(&self) -> impl Iterator<Item = Result<u8, Unusable>> + '_ {
        let is_there = self.word(register::COMMAND) & HAS_CAPABILITIES != 0;
        let first = if is_there { self.word(register::CAPABILITIES) as u8 & !3 } else { 0 };
        let (mut next, mut seen) = (first, 0_u64);
        core::iter::from_fn(move || {
            let offset = core::mem::replace(&mut next, 0);
            if offset == 0 {
                return None;
            }
            let header = self.word(offset);
            let length = if header as u8 == VENDOR { (header >> 16) as u8 } else { 4 };
            let is_inside = usize::from(offset) + usize::from(length) <= 4 * WORDS;
            let bit = 1 << (offset / 4);
            if offset < CAPABILITY_AREA || offset % 4 != 0 || !is_inside || seen & bit != 0 {
                return Some(Err(Unusable::BadList(offset)));
            }
            seen |= bit;
            next = (header >> 8) as u8;
            Some(Ok(offset))
        })
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
