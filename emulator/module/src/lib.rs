//! Placeholder.
#![no_std]
pub mod machine;
pub mod virt;
