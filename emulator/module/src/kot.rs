//! The key ownership table: which HKID belongs to whom. [ABI-H 3.3]

use crate::sys::{FIRST_PRIVATE_HKID, HKIDS};

/// State of an HKID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KotState {
    /// No TD uses it and no cache holds its lines.
    Free,
    /// A TD uses it.
    Assigned,
    /// Its TD ended; caches may hold its lines until CACHE.WB has run.
    Flushed,
    /// The module's own key.
    Reserved,
}

/// One entry per HKID.
#[derive(Clone, Debug)]
pub(crate) struct Kot {
    states: [KotState; HKIDS],
    /// Bit *n*: the one package has not written back the lines of HKID *n*.
    awaits_write_back: u64,
    /// A write-back has begun and was interrupted.
    is_interrupted: bool,
}

impl Kot {
    pub(crate) const fn new() -> Self {
        Self { states: [KotState::Free; HKIDS], awaits_write_back: 0, is_interrupted: false }
    }

    pub(crate) fn state(&self, hkid: u16) -> KotState {
        self.states.get(usize::from(hkid)).copied().unwrap_or(KotState::Reserved)
    }

    pub(crate) fn set(&mut self, hkid: u16, state: KotState) {
        if let Some(entry) = self.states.get_mut(usize::from(hkid)) {
            *entry = state;
        }
    }

    /// The TD of `hkid` ended: its lines have to be written back.
    pub(crate) fn set_flushed(&mut self, hkid: u16) {
        self.set(hkid, KotState::Flushed);
        self.awaits_write_back |= 1 << (hkid & 63);
    }

    pub(crate) fn awaits_write_back(&self, hkid: u16) -> bool {
        self.awaits_write_back >> (hkid & 63) & 1 == 1
    }

    pub(crate) fn any_flushed(&self) -> bool {
        self.states.contains(&KotState::Flushed)
    }

    /// Every cache line of every flushed HKID is back in memory.
    pub(crate) fn written_back(&mut self) {
        self.awaits_write_back = 0;
        self.is_interrupted = false;
    }

    /// A write-back begins anew.
    pub(crate) const fn start_write_back(&mut self) {
        self.is_interrupted = false;
    }

    /// A write-back stops half-way: it can be resumed.
    pub(crate) const fn interrupt_write_back(&mut self) {
        self.is_interrupted = true;
    }

    pub(crate) const fn is_write_back_interrupted(&self) -> bool {
        self.is_interrupted
    }
}

/// Whether only TDs may use `hkid`.
pub(crate) fn is_private(hkid: u16) -> bool {
    hkid >= FIRST_PRIVATE_HKID && usize::from(hkid) < HKIDS
}
