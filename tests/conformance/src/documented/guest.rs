//! The guest leaves. [ABI-G 2]

use super::Leaf;

/// TDCALL leaves.
pub const GUEST: &[Leaf] = &[];
