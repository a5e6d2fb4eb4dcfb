//! A source of bytes that the host calls random. [VIRTIO 5.4]
//!
//! It knows them: no key may come of them alone.

use core::fmt;

use virtio_drivers::device::rng::VirtIORng;

use super::error::VirtioError;
use super::hal::Kernel;
use super::transport::Guarded;
use super::{bus, kind};
use crate::Memory;

/// A source in use.
pub struct Entropy(VirtIORng<Kernel, Guarded>);

impl Entropy {
    /// The first source that is not in use; none if the TD has none.
    pub fn open(memory: &mut Memory) -> Result<Option<Self>, VirtioError> {
        let Some(transport) = bus::open(memory, kind::ENTROPY)? else { return Ok(None) };
        Ok(Some(Self(VirtIORng::new(transport)?)))
    }

    /// Fills the start of `bytes`; how many.
    pub fn read(&mut self, bytes: &mut [u8]) -> Result<usize, VirtioError> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let (said, asked) = (self.0.request_entropy(bytes)?, bytes.len());
        checked(said, asked)
    }
}

/// The device's count, if it can be true.
const fn checked(said: usize, asked: usize) -> Result<usize, VirtioError> {
    if said == 0 || said > asked {
        return Err(VirtioError::BadLength { said, asked });
    }
    Ok(said)
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entropy").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_can_not_be_is_an_error() {
        assert_eq!((checked(1, 16), checked(16, 16)), (Ok(1), Ok(16)));
        for said in [0, 17, u32::MAX as usize] {
            assert_eq!(checked(said, 16), Err(VirtioError::BadLength { said, asked: 16 }));
        }
    }
}
