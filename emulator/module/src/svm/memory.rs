//! Physical memory as the machine half sees it, so that the page-table code runs
//! over a fake in host tests.

/// Physical memory by address. Reads outside it give zeros, writes are dropped.
pub(super) trait Memory {
    /// Copies from `pa`.
    fn read(&self, pa: u64, buf: &mut [u8]);
    /// Copies to `pa`.
    fn write(&mut self, pa: u64, bytes: &[u8]);
    /// Fills `len` bytes at `pa` with zeros.
    fn zero(&mut self, pa: u64, len: u64);

    /// Reads an aligned quadword.
    fn read_u64(&self, pa: u64) -> u64 {
        let mut bytes = [0; 8];
        self.read(pa, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Writes an aligned quadword.
    fn write_u64(&mut self, pa: u64, value: u64) {
        self.write(pa, &value.to_le_bytes());
    }
}

/// A guest's physical memory: what its page tables and code lie in.
pub(super) trait GuestPhysical {
    /// The quadword at `gpa`, if the guest may read there.
    fn read_u64(&self, gpa: u64) -> Option<u64>;
    /// Copies from `gpa`, which must not cross a page; false if the guest may not read there.
    fn read(&self, gpa: u64, buf: &mut [u8]) -> bool;
}

#[cfg(test)]
pub(crate) mod fake {
    use super::{GuestPhysical, Memory};
    use std::collections::HashMap;

    /// Sparse memory: pages that were never written do not exist for a guest.
    #[derive(Debug, Default, Clone)]
    pub(crate) struct Sparse(pub(crate) HashMap<u64, [u8; 4096]>);

    impl Memory for Sparse {
        fn read(&self, pa: u64, buf: &mut [u8]) {
            for (at, byte) in (pa..).zip(buf) {
                *byte = self.0.get(&(at >> 12)).map_or(0, |page| page[at as usize & 0xFFF]);
            }
        }

        fn write(&mut self, pa: u64, bytes: &[u8]) {
            for (at, byte) in (pa..).zip(bytes) {
                self.0.entry(at >> 12).or_insert([0; 4096])[at as usize & 0xFFF] = *byte;
            }
        }

        fn zero(&mut self, pa: u64, len: u64) {
            for at in pa..pa + len {
                self.write(at, &[0]);
            }
        }
    }

    impl GuestPhysical for Sparse {
        fn read_u64(&self, gpa: u64) -> Option<u64> {
            self.0.contains_key(&(gpa >> 12)).then(|| Memory::read_u64(self, gpa))
        }

        fn read(&self, gpa: u64, buf: &mut [u8]) -> bool {
            Memory::read(self, gpa, buf);
            self.0.contains_key(&(gpa >> 12))
        }
    }
}
