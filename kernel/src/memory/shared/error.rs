//! Why memory is not shared, or not private again.

use core::fmt;

use abi::PrivateGpa;

use super::super::tables::TableError;
use super::convert::{Cause, Step};

/// Why memory is not shared, or not private again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedError {
    /// The heap has no such block; nothing was converted.
    NoMemory {
        /// How many pages were asked for.
        pages: usize,
    },
    /// Page tables could not be made; nothing was converted.
    Tables {
        /// How many pages were asked for.
        pages: usize,
        /// Why.
        error: TableError,
    },
    /// A pool has as many pages as it may have.
    PoolFull {
        /// How many pages were asked for.
        pages: usize,
    },
    /// A step of a conversion failed; the pages are lost.
    Step {
        /// Which step.
        step: Step,
        /// Why.
        cause: Cause,
        /// The first page.
        address: PrivateGpa,
        /// How many pages.
        pages: usize,
    },
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemory { pages } => write!(f, "no memory for {pages} shared pages"),
            Self::Tables { pages, error } => write!(f, "{pages} shared pages: {error}"),
            Self::PoolFull { pages } => {
                write!(f, "no room for {pages} pages in the pool of shared memory")
            }
            Self::Step { step, cause, address, pages } => write!(
                f,
                "{pages} pages at {:#x} are lost in step {step:?}: {cause}",
                address.bits()
            ),
        }
    }
}

impl core::error::Error for SharedError {}

/// An access that reaches beyond shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfBounds {
    /// Where it starts.
    pub offset: usize,
    /// How long it is.
    pub bytes: usize,
    /// How long the memory is.
    pub len: usize,
}

impl fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, bytes, len } = self;
        write!(f, "{bytes} bytes at {offset} of {len} bytes of shared memory")
    }
}

impl core::error::Error for OutOfBounds {}
