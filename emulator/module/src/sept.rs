//! The secure EPT: entries, states, walks. [ABI-H 7]
//!
//! | bits | field |
//! |---|---|
//! | 2:0 | R W X |
//! | 5:3, 6 | memory type, ignore-PAT |
//! | 7 | leaf, in 4 KiB entries too |
//! | 51:12 | host-physical page |
//! | 53-56 | TDEX, TDBW, TDB, TDP: with bits 7, 6 and 9 they encode the state |
//! | 63 | suppress #VE, always 1 |

use abi::{Operand, Regs, Status};

use crate::machine::Machine;
use crate::phys::PAGE;
use crate::td::Td;
use crate::td::tdcs::SEPT_ROOT;

const RWX: u64 = 7;
const WRITE_BACK: u64 = 6 << 3;
const LEAF: u64 = 1 << 7;
const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;
const SUPPRESS_VE: u64 = 1 << 63;

const TDEX: u64 = 1 << 53;
const TDBW: u64 = 1 << 54;
const TDB: u64 = 1 << 55;
const TDP: u64 = 1 << 56;
/// Leaf and ignore-PAT together mark a mapping.
const MAPPING: u64 = LEAF | 1 << 6;
const STATE: u64 = MAPPING | 1 << 9 | TDEX | TDBW | TDB | TDP;

/// Architectural entry of a leaf: R, W, X, memory type, ignore-PAT, PS, address, SVE.
const REPORTED_LEAF: u64 = RWX | 0xF << 3 | LEAF | ADDRESS | SUPPRESS_VE;
/// Architectural entry of a non-leaf; the page's address stays hidden.
const REPORTED_NON_LEAF: u64 = RWX | LEAF;

/// State of an entry. The states of export and import do not occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeptState {
    /// Maps nothing.
    Free,
    /// Points to a secure EPT page.
    NlMapped,
    /// As `NlMapped`, but blocked.
    NlBlocked,
    /// Maps a page of the TD.
    Mapped,
    /// As `Mapped`, but blocked.
    Blocked,
    /// Holds a page that the TD has not accepted.
    Pending,
    /// As `Pending`, but blocked.
    PendingBlocked,
}

impl SeptState {
    const ENCODINGS: [(Self, u64); 7] = [
        (Self::Free, TDEX | TDBW | TDB),
        (Self::NlMapped, 0),
        (Self::NlBlocked, TDB),
        (Self::Mapped, MAPPING),
        (Self::Blocked, MAPPING | TDB),
        (Self::Pending, MAPPING | TDP),
        (Self::PendingBlocked, MAPPING | TDP | TDB),
    ];

    fn encoding(self) -> u64 {
        Self::ENCODINGS.iter().find(|(state, _)| *state == self).map_or(0, |(_, bits)| *bits)
    }

    /// The number in RDX bits 15:8 of leaves that report an entry.
    pub(crate) fn architectural(self) -> u8 {
        match self {
            Self::Free => 0,
            Self::Blocked => 1,
            Self::Pending => 2,
            Self::PendingBlocked => 3,
            Self::Mapped => 4,
            Self::NlBlocked => 0x81,
            Self::NlMapped => 0x84,
        }
    }

    pub(crate) fn is_leaf(self) -> bool {
        matches!(self, Self::Mapped | Self::Blocked | Self::Pending | Self::PendingBlocked)
    }

    pub(crate) fn is_blocked(self) -> bool {
        matches!(self, Self::NlBlocked | Self::Blocked | Self::PendingBlocked)
    }

    /// The state before RANGE.BLOCK; of a state that is not blocked, itself.
    pub(crate) fn unblocked(self) -> Self {
        match self {
            Self::NlBlocked => Self::NlMapped,
            Self::Blocked => Self::Mapped,
            Self::PendingBlocked => Self::Pending,
            other => other,
        }
    }

    /// The state after RANGE.BLOCK, where it is allowed.
    pub(crate) fn blocked(self) -> Option<Self> {
        match self {
            Self::NlMapped => Some(Self::NlBlocked),
            Self::Mapped => Some(Self::Blocked),
            Self::Pending => Some(Self::PendingBlocked),
            _ => None,
        }
    }
}

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry(pub u64);

impl Entry {
    /// What every entry of a new page holds.
    pub(crate) const FREE: Self = Self(SUPPRESS_VE | TDEX | TDBW | TDB);

    pub(crate) fn non_leaf(page: u64) -> Self {
        Self(SUPPRESS_VE | RWX | page & ADDRESS)
    }

    pub(crate) fn leaf(page: u64, state: SeptState) -> Self {
        let rights = if state == SeptState::Mapped { RWX } else { 0 };
        Self(SUPPRESS_VE | WRITE_BACK | rights | page & ADDRESS | state.encoding())
    }

    /// A state that no leaf makes reads as free: nothing can be reached through it.
    pub(crate) fn state(self) -> SeptState {
        let bits = self.0 & STATE;
        let known = SeptState::ENCODINGS.iter().find(|(_, encoding)| *encoding == bits);
        known.map_or(SeptState::Free, |(state, _)| *state)
    }

    /// The entry in state `blocked`, without rights.
    pub(crate) fn block(self, blocked: SeptState) -> Self {
        Self(self.0 & !(STATE | RWX) | blocked.encoding())
    }

    pub(crate) fn page(self) -> u64 {
        self.0 & ADDRESS
    }

    pub(crate) fn rights(self) -> u64 {
        self.0 & RWX
    }

    /// RCX of a leaf that reports the entry.
    fn architectural(self) -> u64 {
        match self.state() {
            SeptState::Free => SUPPRESS_VE,
            state if state.is_leaf() => self.0 & REPORTED_LEAF,
            _ => self.0 & REPORTED_NON_LEAF,
        }
    }
}

/// Where a walk ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    pub entry: Entry,
    pub level: u8,
    /// Host-physical address of the entry.
    pub at: u64,
}

impl Walk {
    pub(crate) fn state(&self) -> SeptState {
        self.entry.state()
    }

    pub(crate) fn set(&self, m: &mut dyn Machine, entry: Entry) {
        m.write_u64(self.at, entry.0);
    }

    /// Extended error information: the entry in RCX, level and state in RDX.
    pub(crate) fn report(&self, regs: &mut Regs) {
        regs.rcx = self.entry.architectural();
        regs.rdx = u64::from(self.level) | u64::from(self.state().architectural()) << 8;
    }
}

/// Bytes that an entry of `level` covers.
pub(crate) fn size_of_level(level: u8) -> u64 {
    PAGE << (9 * u32::from(level))
}

/// Walks from the root towards the entry of `level` for `gpa`; ends early at an
/// entry that leads nowhere.
pub(crate) fn walk(m: &dyn Machine, td: &Td, gpa: u64, level: u8) -> Walk {
    let mut table = td.tdr.tdcx_pa[SEPT_ROOT];
    let mut at_level = td.tdcs.root_level().min(4);
    loop {
        let at = table + ((gpa / size_of_level(at_level)) & 511) * 8;
        let entry = Entry(m.read_u64(at));
        let walk = Walk { entry, level: at_level, at };
        if at_level <= level || walk.state() != SeptState::NlMapped || at_level == 0 {
            return walk;
        }
        table = entry.page();
        at_level -= 1;
    }
}

/// Host-physical address of a byte of the TD that is mapped, for the leaves that read or
/// write memory through an operand of the VMM's: RCX, aligned to `alignment` bytes. On
/// EPT_ENTRY_NOT_PRESENT the registers report where the walk ended. [ABI-H 3.7, 3.8]
///
/// 1.5.01 has a second status for a leaf that is readable but not MAPPED; only migration
/// makes such leaves.
pub(crate) fn mapped_byte(
    m: &dyn Machine,
    td: &Td,
    gpa: u64,
    alignment: u64,
    regs: &mut Regs,
) -> Result<u64, Status> {
    if !gpa.is_multiple_of(alignment) || !td.tdcs.is_private(gpa) {
        return Err(Status::OPERAND_INVALID.with_operand(Operand::Rcx));
    }
    let walk = walk(m, td, gpa, 0);
    if walk.state() != SeptState::Mapped {
        walk.report(regs);
        return Err(Status::EPT_ENTRY_NOT_PRESENT.with_operand(Operand::Rcx));
    }
    Ok(walk.entry.page() + gpa % size_of_level(walk.level))
}

/// RCX of the memory leaves, taken apart: a private GPA and the level of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub gpa: u64,
    pub level: u8,
}

impl Target {
    /// Checks the format; whether the GPA is private is the TD's matter.
    pub(crate) fn decode(operand: u64, lowest: u8, highest: u8) -> Option<Self> {
        let level = (operand & 7) as u8;
        let gpa = operand & ADDRESS;
        let is_clean = operand & !(ADDRESS | 7) == 0;
        let fits = lowest <= level && level <= highest;
        let is_aligned = gpa.is_multiple_of(size_of_level(level));
        (is_clean && fits && is_aligned).then_some(Self { gpa, level })
    }

    /// Decodes RCX and walks to its entry. On EPT_WALK_FAILED the registers report
    /// where the walk ended. [ABI-H 3.2]
    pub(crate) fn find(
        m: &dyn Machine,
        td: &Td,
        operand: u64,
        (lowest, highest): (u8, u8),
        regs: &mut Regs,
    ) -> Result<(Self, Walk), Status> {
        let invalid = Status::OPERAND_INVALID.with_operand(Operand::Rcx);
        let target = Self::decode(operand, lowest, highest).ok_or(invalid)?;
        if !td.tdcs.is_private(target.gpa) {
            return Err(invalid);
        }
        let walk = walk(m, td, target.gpa, target.level);
        if walk.level != target.level {
            walk.report(regs);
            return Err(Status::EPT_WALK_FAILED.with_operand(Operand::Rcx));
        }
        Ok((target, walk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of [ABI-H 7.1]: {entry bits 7:6, bits 56:53, bit 9}.
    #[test]
    fn states_have_the_encodings_of_the_reference() {
        let encoded = |e: Entry| (e.0 >> 6 & 3) << 5 | (e.0 >> 53 & 15) << 1 | e.0 >> 9 & 1;
        let page = 0x1234_5000;
        assert_eq!(encoded(Entry::FREE), 0x0E);
        assert_eq!(encoded(Entry::non_leaf(page)), 0x00);
        assert_eq!(encoded(Entry::non_leaf(page).block(SeptState::NlBlocked)), 0x08);
        assert_eq!(encoded(Entry::leaf(page, SeptState::Mapped)), 0x60);
        assert_eq!(encoded(Entry::leaf(page, SeptState::Blocked)), 0x68);
        assert_eq!(encoded(Entry::leaf(page, SeptState::Pending)), 0x70);
        assert_eq!(encoded(Entry::leaf(page, SeptState::PendingBlocked)), 0x78);
    }

    #[test]
    fn every_state_is_read_back_and_only_mapped_entries_have_rights() {
        for (state, _) in SeptState::ENCODINGS.into_iter().filter(|(state, _)| state.is_leaf()) {
            let entry = Entry::leaf(0x5000, state);
            assert_eq!((entry.state(), entry.page()), (state, 0x5000));
            assert_eq!(entry.rights() != 0, state == SeptState::Mapped);
        }
        let blocked = Entry::leaf(0x5000, SeptState::Mapped).block(SeptState::Blocked);
        assert_eq!(blocked, Entry::leaf(0x5000, SeptState::Blocked));
    }

    #[test]
    fn the_page_of_a_table_is_not_reported() {
        assert_eq!(Entry::non_leaf(0x5000).architectural(), 7);
        assert_eq!(Entry::FREE.architectural(), 1 << 63);
        let leaf = Entry::leaf(0x5000, SeptState::Mapped).architectural();
        assert_eq!(leaf, 1 << 63 | 0x5000 | 0xF7);
    }

    #[test]
    fn an_operand_is_refused_unless_clean_aligned_and_in_range() {
        assert!(Target::decode(0x20_0001, 0, 1).is_some());
        for bad in [0x20_1001, 0x20_0002, 0x20_0009, 1 << 52, 0x1005, 1 << 63] {
            assert!(Target::decode(bad, 0, 1).is_none(), "{bad:#x}");
        }
    }
}
