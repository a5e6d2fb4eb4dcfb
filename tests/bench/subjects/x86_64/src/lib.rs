//! `tdx-guest` reads RFLAGS by way of crate `x86_64` 0.15 with default features, which need a
//! nightly compiler. The 0.14 that `tdx-tdcall` uses takes its place: `rflags` is the same, and
//! none of the counted functions uses it.
#![no_std]

pub use real::*;
