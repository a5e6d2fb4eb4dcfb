//! The TD HOB: the list by which the VMM tells the trust domain what memory it has [TDVF 2].
//!
//! A list is packed items, each with an 8-byte header: first a hand-off item, then one resource
//! item for each range of RAM, then an end item. [`build()`] writes it byte for byte as QEMU
//! does; [`parse()`] reads it as what it is for a trust domain, the word of an adversary.

mod build;
mod parse;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::ram::RamRange;

pub use build::{BuildError, build, build_for};
pub use parse::{HobError, HobList, Limit, parse};

/// How a range of RAM stands at the start of the trust domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Added by the VMM at build; never to be accepted again.
    Accepted,
    /// To be accepted before it is used.
    Unaccepted,
}

/// A range of RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceRange {
    /// The first byte.
    pub start: u64,
    /// The number of bytes.
    pub len: u64,
    /// How it stands.
    pub kind: Memory,
}

impl ResourceRange {
    /// Where it lies.
    pub const fn range(self) -> RamRange {
        RamRange { start: self.start, len: self.len }
    }
}

/// The kinds of item that are read or written.
mod item {
    pub(super) const HANDOFF: u16 = 1;
    pub(super) const RESOURCE: u16 = 3;
    pub(super) const GUID_EXTENSION: u16 = 4;
    pub(super) const END: u16 = 0xFFFF;
}

/// The lengths of the items that have one length only.
mod length {
    pub(super) const HANDOFF: u16 = 56;
    pub(super) const RESOURCE: u16 = 48;
    pub(super) const END: u16 = 8;
}

/// Kinds of resource [TDVF 2.3].
mod resource {
    pub(super) const SYSTEM_MEMORY: u32 = 0;
    pub(super) const UNACCEPTED: u32 = 7;
    /// Present, initialised, tested.
    pub(super) const ATTRIBUTES: u32 = 7;
}

/// What every item starts with.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    kind: U16,
    length: U16,
    reserved: U32,
}

/// The first item.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Handoff {
    header: Header,
    version: U32,
    boot_mode: U32,
    memory_top: U64,
    memory_bottom: U64,
    free_memory_top: U64,
    free_memory_bottom: U64,
    end_of_list: U64,
}

/// A range of something.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Resource {
    header: Header,
    owner: [u8; 16],
    kind: U32,
    attributes: U32,
    start: U64,
    len: U64,
}

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<Header>() == length::END as usize);
    assert!(offset_of!(Header, length) == 2);
    assert!(offset_of!(Header, reserved) == 4);
    assert!(size_of::<Handoff>() == length::HANDOFF as usize);
    assert!(offset_of!(Handoff, version) == 8);
    assert!(offset_of!(Handoff, boot_mode) == 12);
    assert!(offset_of!(Handoff, end_of_list) == 48);
    assert!(size_of::<Resource>() == length::RESOURCE as usize);
    assert!(offset_of!(Resource, kind) == 24);
    assert!(offset_of!(Resource, attributes) == 28);
    assert!(offset_of!(Resource, start) == 32);
    assert!(offset_of!(Resource, len) == 40);
};
