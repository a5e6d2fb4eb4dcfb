//! A console's first port: bytes to and from the host. [VIRTIO 5.3]

use core::fmt;

use virtio_drivers::device::console::VirtIOConsole;

use super::error::VirtioError;
use super::hal::Kernel;
use super::transport::Guarded;
use super::{bus, kind};
use crate::Memory;

/// A port in use.
pub struct Port(VirtIOConsole<Kernel, Guarded>);

impl Port {
    /// The first console that is not in use; none if the TD has none.
    pub fn open(memory: &mut Memory) -> Result<Option<Self>, VirtioError> {
        let Some(transport) = bus::open(memory, kind::CONSOLE)? else { return Ok(None) };
        Ok(Some(Self(VirtIOConsole::new(transport)?)))
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), VirtioError> {
        if bytes.is_empty() {
            return Ok(());
        }
        Ok(self.0.send_bytes(bytes)?)
    }

    /// The next byte, if one has come.
    pub fn receive(&mut self) -> Result<Option<u8>, VirtioError> {
        Ok(self.0.recv(true)?)
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").finish_non_exhaustive()
    }
}
