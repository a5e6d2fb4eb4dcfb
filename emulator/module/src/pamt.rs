//! The physical address metadata table: type and owner of each page. [ABI-H 8]
//!
//! The VMM donates its memory in TDMR_INFO, one array for each page size. An entry:
//!
//! | bytes | field |
//! |---|---|
//! | 0-1 | lock, always 0: one logical processor |
//! | 2 | type |
//! | 3-7 | owner: host-physical page number of the TDR |
//! | 8-15 | BEPOCH |

use abi::tdmr::PAMT_ENTRY_BYTES;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::hpa::overlaps;
use crate::machine::Machine;
use crate::module::Module;
use crate::phys::{PAGE, load, store};
use crate::sys::SysState;
use crate::tdmr::{GIB, Tdmr};

/// What a page is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageType(pub u8);

impl PageType {
    /// Not directly assigned: the VMM's, free to be given away.
    pub(crate) const NDA: Self = Self(0);
    /// Not usable: a hole of the TDMR or PAMT memory.
    pub(crate) const RSVD: Self = Self(1);
    /// A TD's memory.
    pub(crate) const REG: Self = Self(3);
    /// Root of a TD.
    pub(crate) const TDR: Self = Self(4);
    /// Control structure page of a TD or a vCPU.
    pub(crate) const TDCX: Self = Self(5);
    /// Root of a vCPU.
    pub(crate) const TDVPR: Self = Self(6);
    /// Secure EPT page.
    pub(crate) const EPT: Self = Self(8);

    /// A TD owns the page.
    pub(crate) fn is_owned(self) -> bool {
        self != Self::NDA && self != Self::RSVD
    }
}

/// Entries of the next smaller size under one entry.
const CHILDREN: u64 = 512;

/// A PAMT entry as it stands in memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct Entry {
    lock: [u8; 2],
    kind: u8,
    owner: [u8; 5],
    bepoch: u64,
}

const _: () = assert!(size_of::<Entry>() as u64 == PAMT_ENTRY_BYTES);

impl Entry {
    pub(crate) fn new(kind: PageType, owner: u64, bepoch: u64) -> Self {
        let page = (owner / PAGE).to_le_bytes();
        let owner = [page[0], page[1], page[2], page[3], page[4]];
        Self { lock: [0; 2], kind: kind.0, owner, bepoch }
    }
}

/// An entry and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    entry: Entry,
    at: u64,
    /// 0 = 4 KiB, 1 = 2 MiB, 2 = 1 GiB.
    pub level: u8,
}

impl Slot {
    pub(crate) fn page_type(&self) -> PageType {
        PageType(self.entry.kind)
    }

    /// Host-physical address of the owner's TDR.
    pub(crate) fn owner(&self) -> u64 {
        let mut page = [0; 8];
        page[..5].copy_from_slice(&self.entry.owner);
        u64::from_le_bytes(page) * PAGE
    }

    pub(crate) fn bepoch(&self) -> u64 {
        self.entry.bepoch
    }

    /// 4 KiB pages that the entry covers.
    pub(crate) fn pages(&self) -> u64 {
        1 << (9 * u32::from(self.level))
    }

    /// Gives the page to the TD at `owner`; its BEPOCH starts at 0.
    pub(crate) fn assign(&self, m: &mut dyn Machine, kind: PageType, owner: u64) {
        store(m, self.at, &Entry::new(kind, owner, 0));
    }

    /// As [`Self::assign`], but the BEPOCH of the page's last use stays, as 1.5.01 leaves
    /// it where pages change their size.
    pub(crate) fn inherit(&self, m: &mut dyn Machine, kind: PageType, owner: u64) {
        store(m, self.at, &Entry::new(kind, owner, self.entry.bepoch));
    }

    /// Makes the page free. The owner field stays, as in 1.5.01.
    pub(crate) fn free(&self, m: &mut dyn Machine) {
        store(m, self.at, &Entry { kind: PageType::NDA.0, ..self.entry });
    }

    /// Notes the TD epoch at which the page was blocked.
    pub(crate) fn set_bepoch(&self, m: &mut dyn Machine, epoch: u64) {
        store(m, self.at, &Entry { bepoch: epoch, ..self.entry });
    }
}

impl Module {
    /// The entry that governs `hpa`: the largest size in use, else 4 KiB. `None`
    /// outside TDMRs and where TDMR.INIT has not been yet.
    pub(crate) fn pamt_walk(&self, m: &dyn Machine, hpa: u64) -> Option<Slot> {
        for level in [2, 1] {
            let slot = self.pamt_slot(m, hpa, level)?;
            if slot.page_type() == PageType::REG {
                return Some(slot);
            }
        }
        self.pamt_slot(m, hpa, 0)
    }

    /// The entry of size `level` that covers `hpa`.
    pub(crate) fn pamt_slot(&self, m: &dyn Machine, hpa: u64, level: u8) -> Option<Slot> {
        let tdmr = self.tdmrs().iter().find(|tdmr| tdmr.has_pamt_for(hpa))?;
        let at = tdmr.pamt_base(level) + tdmr.page_index(hpa, level) * PAMT_ENTRY_BYTES;
        Some(Slot { entry: load(m, at), at, level })
    }

    /// Whether every 4 KiB entry in the 2 MiB around `hpa` is free.
    pub(crate) fn pamt_children_are_free(&self, m: &dyn Machine, hpa: u64) -> bool {
        let first = hpa & !((PAGE << 9) - 1);
        let Some(slot) = self.pamt_slot(m, first, 0) else { return false };
        (0..CHILDREN).all(|index| {
            let entry: Entry = load(m, slot.at + index * PAMT_ENTRY_BYTES);
            entry.kind == PageType::NDA.0
        })
    }

    /// Makes the page of size `level` at `hpa` 512 pages of the next smaller size.
    pub(crate) fn pamt_split(&self, m: &mut dyn Machine, hpa: u64, level: u8) {
        let (Some(large), Some(first)) =
            (self.pamt_slot(m, hpa, level), self.pamt_slot(m, hpa, level.saturating_sub(1)))
        else {
            return;
        };
        for index in 0..CHILDREN {
            let at = first.at + index * PAMT_ENTRY_BYTES;
            Slot { at, ..first }.assign(m, large.page_type(), large.owner());
        }
        large.free(m);
    }

    /// Makes 512 pages of one TD, the first at `hpa`, one page of size `level`.
    pub(crate) fn pamt_merge(&self, m: &mut dyn Machine, hpa: u64, level: u8) {
        let (Some(large), Some(first)) =
            (self.pamt_slot(m, hpa, level), self.pamt_slot(m, hpa, level.saturating_sub(1)))
        else {
            return;
        };
        large.inherit(m, first.page_type(), first.owner());
        for index in 0..CHILDREN {
            let at = first.at + index * PAMT_ENTRY_BYTES;
            Slot { entry: load(m, at), at, level: first.level }.free(m);
        }
    }

    /// Whether `[hpa, hpa + size)` touches memory that holds a PAMT.
    pub(crate) fn is_pamt(&self, hpa: u64, size: u64) -> bool {
        self.state >= SysState::ConfigDone
            && self.tdmrs().iter().flat_map(Tdmr::pamts).any(|pamt| overlaps((hpa, size), pamt))
    }
}

/// Fills the entries for `[first, first + pages * 4 KiB)` of `tdmr`: free, or
/// reserved in a hole. `pages` is a multiple of 512.
pub(crate) fn init_block(m: &mut dyn Machine, tdmr: &Tdmr, first: u64, pages: u64) {
    const CHUNK: u64 = 64;
    let mut at = tdmr.pamt_base(0) + tdmr.page_index(first, 0) * PAMT_ENTRY_BYTES;
    for chunk in 0..pages / CHUNK {
        let mut entries = [Entry::new(PageType::NDA, 0, 0); CHUNK as usize];
        let base = first + chunk * CHUNK * PAGE;
        for (page, entry) in (base..).step_by(PAGE as usize).zip(&mut entries) {
            if tdmr.is_reserved(page) {
                entry.kind = PageType::RSVD.0;
            }
        }
        store(m, at, &entries);
        at += CHUNK * PAMT_ENTRY_BYTES;
    }
    let large = tdmr.pamt_base(1) + tdmr.page_index(first, 1) * PAMT_ENTRY_BYTES;
    m.zero(large, pages / 512 * PAMT_ENTRY_BYTES);
    if first.is_multiple_of(GIB) {
        let huge = tdmr.pamt_base(2) + tdmr.page_index(first, 2) * PAMT_ENTRY_BYTES;
        m.zero(huge, PAMT_ENTRY_BYTES);
    }
}
