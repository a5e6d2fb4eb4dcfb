//! Shared memory: pages that the host and its devices can read and write.
//!
//! * [`SharedPages`] owns pages: of the heap, made shared; dropped, they become private again
//!   and go back to the heap.
//! * [`SharedPool`] cuts them into pieces for drivers; [`POOL`] is everybody's.
//! * [`convert`] has the steps and their order.
//!
//! Contract: nothing private is ever in a shared page, before, while or after it is one; what
//! is first seen of it is zeros, on either side. The other side changes it at any moment: no
//! reference into it is given out, a value is copied once and then looked at.
//!
//! Pages whose conversion fails are lost: nobody uses them again, [`numbers`] counts them.

mod convert;
mod copy;
mod error;
mod machine;
mod pages;
mod pool;
mod slots;
mod window;

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use abi::PAGE_SIZE;

pub use self::convert::{Cause, Step};
pub use self::error::{OutOfBounds, SharedError};
pub use self::pages::SharedPages;
pub use self::pool::{CHUNK_PAGES, MAX_PAGES, POOL, SharedPool, Slot};
pub(super) use self::window::{address_of, init};

use self::convert::{Block, Machine, TO_PRIVATE, TO_SHARED, run};

/// The kernel's.
static LEDGER: Ledger = Ledger::new();

/// How much memory is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Bytes of [`SharedPages`].
    pub shared_bytes: usize,
    /// Bytes that are neither private nor shared for sure, and out of use for ever.
    pub lost_bytes: usize,
}

/// How much memory is shared.
pub fn numbers() -> Numbers {
    LEDGER.numbers()
}

/// Counts conversions.
#[derive(Debug)]
struct Ledger {
    shared_pages: AtomicUsize,
    lost_pages: AtomicUsize,
}

impl Ledger {
    const fn new() -> Self {
        Self { shared_pages: AtomicUsize::new(0), lost_pages: AtomicUsize::new(0) }
    }

    fn numbers(&self) -> Numbers {
        let [shared_bytes, lost_bytes] = [&self.shared_pages, &self.lost_pages]
            .map(|pages| pages.load(Relaxed) * PAGE_SIZE as usize);
        Numbers { shared_bytes, lost_bytes }
    }

    /// Pages of the heap become shared.
    fn share(&self, machine: &mut impl Machine, pages: usize) -> Result<Block, SharedError> {
        let block = machine.allocate(pages).ok_or(SharedError::NoMemory { pages })?;
        if let Err(error) = machine.prepare(block) {
            machine.free(block);
            return Err(SharedError::Tables { pages, error });
        }
        run(machine, &TO_SHARED, block).map_err(|failure| self.lost(block, failure))?;
        self.shared_pages.fetch_add(pages, Relaxed);
        Ok(block)
    }

    /// Shared pages go back to the heap.
    fn unshare(&self, machine: &mut impl Machine, block: Block) -> Result<(), SharedError> {
        self.shared_pages.fetch_sub(block.pages, Relaxed);
        run(machine, &TO_PRIVATE, block).map_err(|failure| self.lost(block, failure))?;
        machine.free(block);
        Ok(())
    }

    fn lost(&self, block: Block, (step, cause): (Step, Cause)) -> SharedError {
        let Block { start: address, pages, .. } = block;
        self.lost_pages.fetch_add(pages, Relaxed);
        SharedError::Step { step, cause, address, pages }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod model_tests;
