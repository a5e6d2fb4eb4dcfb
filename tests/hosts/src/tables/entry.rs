//! SEPT entries as the module shows them in RCX and RDX. [ABI-H 7.1]

/// RCX of a free entry: suppress-#VE alone.
pub const FREE: u64 = 1 << 63;
/// RCX of an entry with a table: the address is hidden.
pub const TABLE: u64 = 7;
/// RCX of a blocked entry with a table.
pub const BLOCKED_TABLE: u64 = 0;
/// Added to a page: RCX of an entry that maps it, but lets nobody in: write-back, IPAT, leaf.
pub const LEAF: u64 = FREE | 0xF0;
/// Added to a page: RCX of an entry that maps it.
pub const MAPPED: u64 = LEAF | 7;

/// Public states, bits 15:8 of RDX.
pub mod state {
    #![expect(missing_docs, reason = "the constant is the state's name")]
    pub const BLOCKED: u8 = 1;
    pub const PENDING: u8 = 2;
    pub const PENDING_BLOCKED: u8 = 3;
    pub const MAPPED: u8 = 4;
    pub const NL_BLOCKED: u8 = 0x81;
    pub const NL_MAPPED: u8 = 0x84;
}

/// RDX: level and state.
#[must_use]
pub const fn info(level: u8, state: u8) -> u64 {
    level as u64 | (state as u64) << 8
}

/// GPA of the page with the guest's code: the one with the reset vector.
pub const CODE: u64 = 0xFFFF_F000;
/// GPA where 2 MiB pages are.
pub const BIG: u64 = 0x20_0000;
