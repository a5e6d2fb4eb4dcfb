//! Structures that the CPU or a guest's switch writes too: reached through their
//! address, borrowed only between two runs of the guest.
#![expect(unsafe_code, reason = "an address becomes a reference")]

use core::marker::PhantomData;

use zerocopy::{FromBytes, IntoBytes};

/// A `T` at a physical address.
#[derive(Debug)]
pub(super) struct InPlace<T> {
    address: u64,
    _is: PhantomData<T>,
}

impl<T: FromBytes + IntoBytes> InPlace<T> {
    /// Names the `T` at `address`.
    ///
    /// # Safety
    /// 1. `address` is aligned for `T`, and `size_of::<T>()` bytes from there are mapped
    ///    RAM that no guest can reach.
    /// 2. Nothing holds a Rust reference to them while [`Self::get`]'s borrow lives.
    #[must_use]
    pub(super) const unsafe fn new(address: u64) -> Self {
        Self { address, _is: PhantomData }
    }

    /// Its address.
    #[must_use]
    pub(super) const fn address(&self) -> u64 {
        self.address
    }

    /// Borrows it. The borrow must end before a guest runs and before the leaves are
    /// called, since they reach the same pages by address.
    pub(super) fn get(&mut self) -> &mut T {
        let pointer = core::ptr::with_exposed_provenance_mut::<T>(self.address as usize);
        // SAFETY: (1) and (2) of `new`; any bytes are a `T`.
        unsafe { &mut *pointer }
    }
}
