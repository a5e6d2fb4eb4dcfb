//! Why there is no device, or no answer of it.

use core::fmt;

use crate::pci::{Address, Unusable};

/// An error of a virtio device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VirtioError {
    /// Its configuration space can not be used.
    Pci(Address, Unusable),
    /// A structure of it is missing, or lies outside its memory.
    BadStructure(Address),
    /// It does not offer VIRTIO_F_VERSION_1: it is not one of virtio 1.0 or later.
    Legacy(Address),
    /// It does not offer VIRTIO_F_ACCESS_PLATFORM: it would take addresses for the machine's
    /// own, where the TD's are not.
    NoAccessPlatform(Address),
    /// It is in use.
    Busy(Address),
    /// The driver gave up.
    Driver(virtio_drivers::Error),
    /// It says that it gave more bytes than it was asked for, or none.
    BadLength {
        /// What it says.
        said: usize,
        /// What it was asked for.
        asked: usize,
    },
    /// No such blocks, or no whole ones.
    OutOfRange,
}

impl fmt::Display for VirtioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pci(at, why) => write!(f, "virtio device {at}: {why}"),
            Self::BadStructure(at) => write!(f, "virtio device {at}: bad virtio structure"),
            Self::Legacy(at) => write!(f, "virtio device {at}: too old: no VIRTIO_F_VERSION_1"),
            Self::NoAccessPlatform(at) => write!(
                f,
                "virtio device {at}: no VIRTIO_F_ACCESS_PLATFORM: start QEMU with iommu_platform=on"
            ),
            Self::Busy(at) => write!(f, "virtio device {at}: in use"),
            Self::Driver(error) => write!(f, "virtio: {error}"),
            Self::BadLength { said, asked } => {
                write!(f, "virtio: {said} bytes in a buffer of {asked}")
            }
            Self::OutOfRange => f.write_str("virtio: no such blocks"),
        }
    }
}

impl core::error::Error for VirtioError {}

impl From<virtio_drivers::Error> for VirtioError {
    fn from(error: virtio_drivers::Error) -> Self {
        Self::Driver(error)
    }
}
