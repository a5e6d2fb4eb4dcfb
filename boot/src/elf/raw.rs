//! ELF as it stands in the file. [System V ABI, chapters 4 and 5]

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

pub(super) const MAGIC_64_LITTLE_1: [u8; 7] = *b"\x7FELF\x02\x01\x01";
pub(super) const MACHINE_X86_64: u16 = 62;
pub(super) const EXECUTABLE: u16 = 2;
pub(super) const SHARED_OBJECT: u16 = 3;
/// Kinds of segment.
pub(super) mod kind {
    pub(in super::super) const LOAD: u32 = 1;
    pub(in super::super) const DYNAMIC: u32 = 2;
    pub(in super::super) const TLS: u32 = 7;
    pub(in super::super) const GNU_RELRO: u32 = 0x6474_E552;
}

/// Tags of the dynamic segment.
pub(super) mod tag {
    pub(in super::super) const NULL: u64 = 0;
    pub(in super::super) const RELA: u64 = 7;
    pub(in super::super) const RELA_SIZE: u64 = 8;
    pub(in super::super) const RELA_ENTRY_SIZE: u64 = 9;
    pub(in super::super) const REL: u64 = 17;
    pub(in super::super) const JUMP_RELOCATIONS: u64 = 23;
    pub(in super::super) const RELR: u64 = 36;
}

pub(super) const RELOCATION_RELATIVE: u32 = 8;

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub(super) ident: [u8; 16],
    pub(super) kind: U16,
    pub(super) machine: U16,
    pub(super) version: U32,
    pub(super) entry: U64,
    pub(super) segments: U64,
    pub(super) sections: U64,
    pub(super) flags: U32,
    pub(super) size: U16,
    pub(super) segment_size: U16,
    pub(super) segment_count: U16,
    pub(super) section_size: U16,
    pub(super) section_count: U16,
    pub(super) section_names: U16,
}

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct SegmentHeader {
    pub(super) kind: U32,
    pub(super) flags: U32,
    pub(super) offset: U64,
    pub(super) address: U64,
    pub(super) physical: U64,
    pub(super) file_size: U64,
    pub(super) memory_size: U64,
    pub(super) align: U64,
}

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct SectionHeader {
    pub(super) name: U32,
    pub(super) kind: U32,
    pub(super) flags: U64,
    pub(super) address: U64,
    pub(super) offset: U64,
    pub(super) size: U64,
    pub(super) link: U32,
    pub(super) info: U32,
    pub(super) align: U64,
    pub(super) entry_size: U64,
}

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct RawRelocation {
    pub(super) offset: U64,
    pub(super) kind: U32,
    pub(super) symbol: U32,
    pub(super) addend: U64,
}

const _: () = {
    assert!(size_of::<Header>() == 64);
    assert!(size_of::<SegmentHeader>() == 56);
    assert!(size_of::<SectionHeader>() == 64);
    assert!(size_of::<RawRelocation>() == 24);
};
