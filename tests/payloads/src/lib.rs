//! What the tests' own kernels share: the conformance checks of the guest leaves.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod conform;
