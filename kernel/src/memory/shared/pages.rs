//! [`SharedPages`]: the owner of shared pages.
#![expect(unsafe_code, reason = "copies of shared memory")]

use core::mem::MaybeUninit;
use core::ptr;

use abi::SharedGpa;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::convert::Block;
use super::error::{OutOfBounds, SharedError};
use super::machine::Real;
use super::{LEDGER, copy};
use crate::println;

/// Shared pages in a row, zeros at first. Dropped, they become private again; if that fails,
/// they are lost, and a line says so.
///
/// ```no_run
/// use kernel::memory::shared::SharedPages;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut pages = SharedPages::new(2)?;
/// pages.copy_in(0, b"for the host")?;
/// // Copied once, then checked: the host may have changed it meanwhile.
/// let length: u32 = pages.read(0x1000)?;
/// let length = length.min(64);
/// pages.into_private()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SharedPages {
    block: Block,
    /// Where they are mapped.
    linear: u64,
    is_shared: bool,
}

impl SharedPages {
    /// `pages` pages of the heap, made shared.
    ///
    /// # Errors
    /// No memory (nothing happened), or a refusal, wrong answer or lie of the host: then the
    /// pages are lost.
    pub fn new(pages: usize) -> Result<Self, SharedError> {
        let mut machine = Real::lock().ok_or(SharedError::NoMemory { pages })?;
        let block = LEDGER.share(&mut machine, pages)?;
        Ok(Self { block, linear: machine.linear(block), is_shared: true })
    }

    /// The guest-physical address, SHARED bit included: what page tables and VMCALLs carry.
    #[must_use]
    pub const fn gpa(&self) -> SharedGpa {
        self.block.alias
    }

    /// The address without the SHARED bit: what a device is told.
    #[must_use]
    pub const fn address(&self) -> u64 {
        self.block.alias.address()
    }

    /// The first byte. Only for volatile accesses: the other side writes there, too.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        ptr::with_exposed_provenance_mut(self.linear as usize)
    }

    /// How many bytes, a multiple of 4 KiB and not 0.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is at least one page")]
    pub const fn len(&self) -> usize {
        self.block.bytes()
    }

    /// Copies bytes from `offset` on.
    ///
    /// # Errors
    /// They are not all in the pages; nothing was copied.
    pub fn copy_out(&self, offset: usize, bytes: &mut [u8]) -> Result<(), OutOfBounds> {
        let from = self.at(offset, bytes.len())?;
        // SAFETY: `at` found the bytes in these pages, which are mapped while `self` is.
        unsafe { copy::out(from, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    /// Copies bytes to `offset`.
    ///
    /// # Errors
    /// They do not all fit into the pages; nothing was copied.
    pub fn copy_in(&mut self, offset: usize, bytes: &[u8]) -> Result<(), OutOfBounds> {
        let to = self.at(offset, bytes.len())?;
        // SAFETY: `at` found the place in these pages, which are mapped while `self` is.
        unsafe { copy::into(to, bytes) };
        Ok(())
    }

    /// Zeros `bytes` bytes from `offset` on.
    ///
    /// # Errors
    /// They are not all in the pages; nothing was changed.
    pub fn zero(&mut self, offset: usize, bytes: usize) -> Result<(), OutOfBounds> {
        let to = self.at(offset, bytes)?;
        // SAFETY: as in `copy_in`.
        unsafe { copy::zero(to, bytes) };
        Ok(())
    }

    /// One copy of the value at `offset`. Any bytes are a `T`; what they mean is checked on
    /// the copy.
    ///
    /// # Errors
    /// It is not all in the pages.
    pub fn read<T: FromBytes>(&self, offset: usize) -> Result<T, OutOfBounds> {
        let from = self.at(offset, size_of::<T>())?;
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: `at` found the bytes in these pages; `value` has as many.
        unsafe { copy::out(from, value.as_mut_ptr().cast(), size_of::<T>()) };
        // SAFETY: every byte is initialized, and any bytes are a `T`.
        Ok(unsafe { value.assume_init() })
    }

    /// Writes a value to `offset`.
    ///
    /// # Errors
    /// It does not fit into the pages.
    pub fn write<T: IntoBytes + Immutable>(
        &mut self,
        offset: usize,
        value: &T,
    ) -> Result<(), OutOfBounds> {
        self.copy_in(offset, value.as_bytes())
    }

    /// The end, with its error.
    ///
    /// # Errors
    /// The pages did not become private, or are not zero: they are lost.
    pub fn into_private(mut self) -> Result<(), SharedError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), SharedError> {
        if !core::mem::take(&mut self.is_shared) {
            return Ok(());
        }
        match Real::lock() {
            Some(mut machine) => LEDGER.unshare(&mut machine, self.block),
            None => Ok(()),
        }
    }

    /// The linear address of bytes.
    fn at(&self, offset: usize, bytes: usize) -> Result<u64, OutOfBounds> {
        let len = self.len();
        match offset.checked_add(bytes) {
            Some(end) if end <= len => Ok(self.linear + offset as u64),
            _ => Err(OutOfBounds { offset, bytes, len }),
        }
    }
}

impl Drop for SharedPages {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            println!("memory: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::GpaWidth;

    /// Two pages that are memory of the test; their end is not a conversion.
    fn pages() -> SharedPages {
        let memory = std::vec![0_u64; 1024].leak();
        let linear = memory.as_mut_ptr().expose_provenance() as u64;
        let block = Block::new(0x7000, 2, GpaWidth::Bits48).unwrap();
        SharedPages { block, linear, is_shared: false }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut pages = pages();
        pages.copy_in(4093, &[1, 2, 3, 4, 5, 6, 7]).unwrap();
        let mut bytes = [0; 9];
        pages.copy_out(4092, &mut bytes).unwrap();
        assert_eq!(bytes, [0, 1, 2, 3, 4, 5, 6, 7, 0]);
        assert_eq!(pages.read(4094), Ok(0x0504_0302_u32));
        pages.write(8184, &u64::MAX).unwrap();
        assert_eq!(pages.read(8190), Ok([0xFF_u8; 2]));
        pages.zero(0, 8192).unwrap();
        assert_eq!(pages.read(4092), Ok(0_u64));
    }

    #[test]
    fn nothing_reaches_beyond_the_pages() {
        let mut pages = pages();
        let beyond = |offset, bytes| Err(OutOfBounds { offset, bytes, len: 8192 });
        assert_eq!(pages.read::<u32>(8189).map(drop), beyond(8189, 4));
        assert_eq!(pages.write(8192, &1_u8), beyond(8192, 1));
        assert_eq!(pages.copy_in(usize::MAX, &[1]), beyond(usize::MAX, 1));
        assert_eq!(pages.copy_out(8000, &mut [7; 193]), beyond(8000, 193));
        assert_eq!(pages.zero(1, 8192), beyond(1, 8192));
        assert_eq!(pages.copy_in(8192, &[]), Ok(()));
    }

    #[test]
    fn a_device_is_told_the_address_without_the_shared_bit() {
        let pages = pages();
        assert_eq!((pages.address(), pages.gpa().bits()), (0x7000, 1 << 47 | 0x7000));
        assert_eq!(pages.len(), 8192);
    }
}
