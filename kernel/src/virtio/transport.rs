//! A virtio PCI function that a driver of the crate works on, with what the crate leaves out.
//!
//! * VIRTIO_F_ACCESS_PLATFORM is accepted: the device keeps to addresses that the platform
//!   gives it, which are those of shared memory. [VIRTIO 6]
//! * The device must say FEATURES_OK; otherwise it has no queues, and the driver gives up.
//! * The reset at the end is waited for, but not for ever.
//!
//! What the device says later is the driver's to check. Two of the crate's checks are panics:
//! a notification offset outside the device's memory, and a console's used length of more than
//! a page. A device that never answers a request is waited for, as is a host that never
//! runs the TD.

use core::mem::ManuallyDrop;

use virtio_drivers::transport::pci::PciTransport;
use virtio_drivers::transport::pci::bus::{DeviceFunction, PciRoot};
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{PhysAddr, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::bus;
use super::error::VirtioError;
use super::hal::Kernel;
use crate::pci::{Address, Snapshot};

const VERSION_1: u64 = 1 << 32;
const ACCESS_PLATFORM: u64 = 1 << 33;
/// Looks at the status before a device counts as stuck in its reset.
const PATIENCE: u32 = 1000;

/// A function in use.
#[derive(Debug)]
pub(super) struct Guarded {
    /// Its own end waits for ever.
    inner: ManuallyDrop<PciTransport>,
    at: Address,
    /// The device did not take the features.
    is_refused: bool,
}

impl Guarded {
    /// The function that `snapshot` is of, reset, if it offers what it must.
    pub(super) fn new(snapshot: &Snapshot) -> core::result::Result<Self, VirtioError> {
        let at = snapshot.at;
        let (device, function) = (at.device, at.function);
        let mut root = PciRoot::new(snapshot.clone());
        let place = DeviceFunction { bus: 0, device, function };
        let inner = PciTransport::new::<Kernel, _>(&mut root, place);
        let inner = ManuallyDrop::new(inner.map_err(|_| VirtioError::BadStructure(at))?);
        let mut transport = Self { inner, at, is_refused: false };
        transport.reset();
        transport.set_status(DeviceStatus::ACKNOWLEDGE | DeviceStatus::DRIVER);
        let features = transport.inner.read_device_features();
        if features & VERSION_1 == 0 {
            return Err(VirtioError::Legacy(at));
        }
        if features & ACCESS_PLATFORM == 0 {
            return Err(VirtioError::NoAccessPlatform(at));
        }
        Ok(transport)
    }

    /// Resets the device; whether it says that it is done.
    fn reset(&mut self) -> bool {
        self.inner.set_status(DeviceStatus::empty());
        (0..PATIENCE).any(|_| self.inner.get_status().is_empty())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let is_reset = self.reset();
        bus::release(self.at, is_reset);
    }
}

impl Transport for Guarded {
    fn device_type(&self) -> DeviceType {
        self.inner.device_type()
    }

    fn read_device_features(&mut self) -> u64 {
        self.inner.read_device_features()
    }

    fn write_driver_features(&mut self, features: u64) {
        self.inner.write_driver_features(features | ACCESS_PLATFORM);
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        if self.is_refused { 0 } else { self.inner.max_queue_size(queue) }
    }

    fn notify(&mut self, queue: u16) {
        self.inner.notify(queue);
    }

    fn get_status(&self) -> DeviceStatus {
        self.inner.get_status()
    }

    fn set_status(&mut self, status: DeviceStatus) {
        self.inner.set_status(status);
        if status.contains(DeviceStatus::FEATURES_OK) {
            self.is_refused |= !self.inner.get_status().contains(DeviceStatus::FEATURES_OK);
        }
    }

    fn set_guest_page_size(&mut self, size: u32) {
        self.inner.set_guest_page_size(size);
    }

    fn requires_legacy_layout(&self) -> bool {
        false
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver_area: PhysAddr,
        device_area: PhysAddr,
    ) {
        self.inner.queue_set(queue, size, descriptors, driver_area, device_area);
    }

    fn queue_unset(&mut self, queue: u16) {
        self.inner.queue_unset(queue);
    }

    fn queue_used(&mut self, queue: u16) -> bool {
        self.inner.queue_used(queue)
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        self.inner.ack_interrupt()
    }

    fn read_config_generation(&self) -> u32 {
        self.inner.read_config_generation()
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T> {
        self.inner.read_config_space(offset)
    }

    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        offset: usize,
        value: T,
    ) -> Result<()> {
        self.inner.write_config_space(offset, value)
    }
}
