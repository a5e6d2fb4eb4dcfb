//! The buffer of GetQuote, in shared memory. [TDVF 10.1]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `version` of the header.
pub const VERSION: u64 = 1;

/// How far a quote is: [`QuoteHeader::status`]. The host writes it, so any value may come.
pub mod status {
    /// The quote is in the buffer.
    pub const SUCCESS: u64 = 0;
    /// The host works on it.
    pub const IN_FLIGHT: u64 = u64::MAX;
    /// It could not be made.
    pub const ERROR: u64 = 1 << 63;
    /// The host has no quoting service.
    pub const SERVICE_UNAVAILABLE: u64 = 1 << 63 | 1;
}

/// The header; the TDREPORT, later the quote, follows it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct QuoteHeader {
    /// [`VERSION`].
    pub version: u64,
    /// 0 from the TD, then one of [`status`].
    pub status: u64,
    /// Bytes of the request behind the header.
    pub in_bytes: u32,
    /// Bytes of the quote behind the header; 0 from the TD.
    pub out_bytes: u32,
}

const _: () = assert!(size_of::<QuoteHeader>() == 24);
