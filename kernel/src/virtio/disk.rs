//! A disk. [VIRTIO 5.2]

use core::fmt;

use virtio_drivers::device::blk::{SECTOR_SIZE, VirtIOBlk};

use super::error::VirtioError;
use super::hal::Kernel;
use super::transport::Guarded;
use super::{bus, kind};
use crate::Memory;

/// Bytes of a block.
pub const BLOCK_BYTES: usize = SECTOR_SIZE;

/// A disk in use; another one after it is dropped.
pub struct Disk(VirtIOBlk<Kernel, Guarded>);

impl Disk {
    /// Whether the TD has a disk.
    #[must_use]
    pub fn is_there() -> bool {
        bus::has(kind::BLOCK)
    }

    /// The first disk that is not in use; none if the TD has no disk.
    pub fn open(memory: &mut Memory) -> Result<Option<Self>, VirtioError> {
        let Some(transport) = bus::open(memory, kind::BLOCK)? else { return Ok(None) };
        Ok(Some(Self(VirtIOBlk::new(transport)?)))
    }

    /// Blocks that the host says it has.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.0.capacity()
    }

    /// Reads whole blocks from `first` on.
    pub fn read(&mut self, first: u64, bytes: &mut [u8]) -> Result<(), VirtioError> {
        let first = self.place(first, bytes.len())?;
        Ok(self.0.read_blocks(first, bytes)?)
    }

    /// Writes whole blocks from `first` on, and waits until the host says that they are kept.
    pub fn write(&mut self, first: u64, bytes: &[u8]) -> Result<(), VirtioError> {
        let first = self.place(first, bytes.len())?;
        self.0.write_blocks(first, bytes)?;
        Ok(self.0.flush()?)
    }

    /// The blocks are there.
    fn place(&self, first: u64, bytes: usize) -> Result<usize, VirtioError> {
        let blocks = (bytes / BLOCK_BYTES) as u64;
        let end = first.checked_add(blocks).filter(|end| *end <= self.blocks());
        if bytes == 0 || !bytes.is_multiple_of(BLOCK_BYTES) || end.is_none() {
            return Err(VirtioError::OutOfRange);
        }
        usize::try_from(first).map_err(|_| VirtioError::OutOfRange)
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("blocks", &self.blocks()).finish_non_exhaustive()
    }
}
