//! The host leaves. [ABI-H 3]

use super::Leaf;

/// SEAMCALL leaves.
pub const HOST: &[Leaf] = &[];
