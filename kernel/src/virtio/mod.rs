//! Virtio devices on PCI: a [`Disk`], a source of [`Entropy`], a [`Port`] of a console.
//!
//! The drivers are those of the crate `virtio-drivers`, polled. A device is the host's: it
//! reaches the pool of shared memory and nothing else, and what it says is
//! checked against what it was asked. So a disk's content is whatever the host likes, and whoever
//! needs it to be true must have a way to see that.
//!
//! Each access to a device's registers is a MOV that raises #VE.

mod bus;
mod disk;
mod entropy;
mod error;
mod hal;
mod port;
mod structures;
mod transport;
mod windows;

pub use self::disk::{BLOCK_BYTES, Disk};
pub use self::entropy::Entropy;
pub use self::error::VirtioError;
pub use self::port::Port;

/// Device types. [VIRTIO 5]
mod kind {
    pub(super) const BLOCK: u32 = 2;
    pub(super) const CONSOLE: u32 = 3;
    pub(super) const ENTROPY: u32 = 4;
}
