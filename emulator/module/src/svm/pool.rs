//! Pages for nested page tables.
//!
//! All of them lie in the module's own range, so no guest can reach a nested page
//! table. Free pages are linked through their first quadword.

use super::memory::Memory;

/// Bytes of a page.
pub(super) const PAGE: u64 = 4096;

/// There is no page left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PoolEmpty;

/// A stock of zeroed pages.
#[derive(Debug)]
pub(super) struct Pool {
    next: u64,
    end: u64,
    free: u64,
    available: u64,
}

impl Pool {
    /// A pool over the whole pages of `[base, end)`.
    #[must_use]
    pub(super) const fn new(base: u64, end: u64) -> Self {
        let next = base.next_multiple_of(PAGE);
        let available = end.saturating_sub(next) / PAGE;
        Self { next, end: next + available * PAGE, free: 0, available }
    }

    /// Takes a page and fills it with zeros.
    pub(super) fn take<M: Memory>(&mut self, memory: &mut M) -> Result<u64, PoolEmpty> {
        let page = if self.free != 0 {
            let page = self.free;
            self.free = memory.read_u64(page);
            page
        } else if self.next < self.end {
            let page = self.next;
            self.next += PAGE;
            page
        } else {
            return Err(PoolEmpty);
        };
        self.available -= 1;
        memory.zero(page, PAGE);
        Ok(page)
    }

    /// Gives a page back.
    pub(super) fn give<M: Memory>(&mut self, memory: &mut M, page: u64) {
        memory.write_u64(page, self.free);
        self.free = page;
        self.available += 1;
    }

    /// Pages left.
    #[must_use]
    pub(super) const fn available(&self) -> u64 {
        self.available
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::fake::Sparse;
    use super::*;

    #[test]
    fn pages_come_back_zeroed_and_the_pool_knows_when_it_is_empty() {
        let mut memory = Sparse::default();
        let mut pool = Pool::new(0x1001, 0x4FFF);
        assert_eq!(pool.available(), 2);
        let first = pool.take(&mut memory).expect("two pages");
        let second = pool.take(&mut memory).expect("one page");
        assert_eq!((first, second), (0x2000, 0x3000));
        assert_eq!(pool.take(&mut memory), Err(PoolEmpty));
        memory.write_u64(first + 8, 7);
        pool.give(&mut memory, first);
        pool.give(&mut memory, second);
        assert_eq!(pool.take(&mut memory), Ok(second));
        assert_eq!(pool.take(&mut memory), Ok(first));
        assert_eq!(memory.read_u64(first + 8), 0);
    }
}
