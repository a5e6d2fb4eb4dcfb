//! Structures in host-physical memory: load, change, store.
//!
//! No reference into guest-visible memory ever exists; a structure is copied out,
//! changed in the module's own memory, and copied back.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::machine::Machine;

/// Bytes of a page.
pub(crate) const PAGE: u64 = abi::PAGE_SIZE;

/// Copies a `T` from `hpa`.
pub(crate) fn load<T: FromBytes + IntoBytes + KnownLayout>(m: &dyn Machine, hpa: u64) -> T {
    let mut value = T::new_zeroed();
    m.read(hpa, value.as_mut_bytes());
    value
}

/// Copies `value` to `hpa`.
pub(crate) fn store<T: IntoBytes + Immutable>(m: &mut dyn Machine, hpa: u64, value: &T) {
    m.write(hpa, value.as_bytes());
}

/// Fills the page at `hpa` with one quadword, repeated.
pub(crate) fn fill_page(m: &mut dyn Machine, hpa: u64, value: u64) {
    let line = [value; 64];
    for offset in (0..PAGE).step_by(size_of_val(&line)) {
        store(m, hpa + offset, &line);
    }
}

/// Copies the page at `from` to the page at `to`, which may be the same page.
pub(crate) fn copy_page(m: &mut dyn Machine, from: u64, to: u64) {
    let mut line = [0; 512];
    for offset in (0..PAGE).step_by(line.len()) {
        m.read(from + offset, &mut line);
        m.write(to + offset, &line);
    }
}
