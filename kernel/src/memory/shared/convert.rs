//! Conversion of pages between private and shared: which steps, in which order.
//!
//! ```text
//!               private → shared            shared → private
//!
//!   private   1 ZeroPrivate               6 CheckZero
//!   mapping   2 UnmapPrivate              5 MapPrivate
//!             3 FlushPrivate              4 Accept
//!           ─ 4 AskShared ─ no way there ─ 3 AskPrivate ─
//!   shared    5 MapShared                 2 FlushShared
//!   mapping   6 ZeroShared                1 UnmapShared
//! ```
//!
//! At the moment of each call no linear address leads to the pages, so that no access of the
//! TD, a speculative one or a wrong one, meets a page in between: the private half of a shared
//! page, whose touch ends the TD, or the shared half of a private one, whose touch makes a
//! host take the private page away.
//!
//! The order is data ([`TO_SHARED`], [`TO_PRIVATE`]), and `model_tests.rs` tries every other
//! order against a host that reads and writes what it can between any two steps: each of them
//! leaks, or touches what is not there.
//!
//! A step that fails ends the block: [`run`] takes it off both mappings, and nobody uses it
//! again. That the host said that nothing was done is no reason to believe it.

use core::fmt;

use abi::{GpaRange, GpaWidth, PAGE_SIZE, PrivateGpa, SharedGpa};
use tdcall::accept::AcceptError;
use tdcall::ghci::MapGpaError;

use super::super::tables::TableError;

/// A step of a conversion; each is done for all pages of the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Zeros the private pages.
    ZeroPrivate,
    /// Takes them off the physical mapping.
    UnmapPrivate,
    /// Takes that mapping off the TLB.
    FlushPrivate,
    /// MapGPA: the host makes them shared. [TDVF 4.8]
    AskShared,
    /// Maps the shared pages.
    MapShared,
    /// Zeros the shared pages, whose bytes the host chose.
    ZeroShared,
    /// Takes the shared pages off their mapping.
    UnmapShared,
    /// Takes that mapping off the TLB.
    FlushShared,
    /// MapGPA: the host makes them private. [TDVF 4.8]
    AskPrivate,
    /// TDG.MEM.PAGE.ACCEPT. [ABI-G 11]
    Accept,
    /// Puts the private pages back into the physical mapping.
    MapPrivate,
    /// Reads the private pages: all of them are zero.
    CheckZero,
}

/// Private pages become shared.
pub(super) const TO_SHARED: [Step; 6] = [
    Step::ZeroPrivate,
    Step::UnmapPrivate,
    Step::FlushPrivate,
    Step::AskShared,
    Step::MapShared,
    Step::ZeroShared,
];

/// Shared pages become private.
pub(super) const TO_PRIVATE: [Step; 6] = [
    Step::UnmapShared,
    Step::FlushShared,
    Step::AskPrivate,
    Step::Accept,
    Step::MapPrivate,
    Step::CheckZero,
];

/// Pages in a row that are converted together, by both their addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The first page's private address.
    pub(super) start: PrivateGpa,
    /// The first page's shared address.
    pub(super) alias: SharedGpa,
    pub(super) private: GpaRange,
    pub(super) shared: GpaRange,
    /// How many.
    pub(super) pages: usize,
}

impl Block {
    /// `pages` pages at a private address; none if that is not what they are.
    pub(super) fn new(address: u64, pages: usize, width: GpaWidth) -> Option<Self> {
        let bytes = u64::try_from(pages).ok()?.checked_mul(PAGE_SIZE)?;
        let start = PrivateGpa::try_new(address, width).ok()?;
        let alias = SharedGpa::try_new(address, width).ok()?;
        let range = |start| GpaRange::try_new(start, bytes, width).ok();
        let (private, shared) = (range(start.into())?, range(alias.into())?);
        Some(Self { start, alias, private, shared, pages })
    }

    /// How many bytes.
    pub(super) const fn bytes(self) -> usize {
        self.private.bytes() as usize
    }

    /// The address behind the last page.
    pub(super) const fn end(self) -> u64 {
        self.private.end()
    }

    /// The bit that makes its addresses shared.
    pub(super) const fn shared_bit(self) -> u64 {
        self.alias.bits() ^ self.start.bits()
    }

    /// The private address of each page.
    pub(super) fn gpas(self) -> impl Iterator<Item = u64> {
        (self.start.bits()..self.end()).step_by(PAGE_SIZE as usize)
    }
}

/// What conversion does to the machine.
pub(super) trait Machine {
    /// Pages of the heap, private and mapped.
    fn allocate(&mut self, pages: usize) -> Option<Block>;
    /// Gives pages back to the heap, private and mapped.
    fn free(&mut self, block: Block);
    /// Makes page tables such that mapping needs no memory; changes no mapping.
    fn prepare(&mut self, block: Block) -> Result<(), TableError>;
    /// Fills the private pages with zeros.
    fn zero_private(&mut self, block: Block);
    /// Makes the private pages present in the physical mapping, or not.
    fn map_private(&mut self, block: Block, is_present: bool) -> Result<(), TableError>;
    /// Flushes the physical mapping of the pages.
    fn flush_private(&mut self, block: Block);
    /// MapGPA to shared.
    fn ask_shared(&mut self, block: Block) -> Result<(), MapGpaError>;
    /// Makes the shared pages present in their window, or not.
    fn map_shared(&mut self, block: Block, is_present: bool) -> Result<(), TableError>;
    /// Flushes the window's mapping of the pages.
    fn flush_shared(&mut self, block: Block);
    /// Fills the shared pages with zeros.
    fn zero_shared(&mut self, block: Block);
    /// MapGPA to private.
    fn ask_private(&mut self, block: Block) -> Result<(), MapGpaError>;
    /// Accepts the private pages.
    fn accept(&mut self, block: Block) -> Result<(), AcceptError>;
    /// The address of a byte of the private pages that is not zero.
    fn find_byte(&mut self, block: Block) -> Option<u64>;
}

/// Why a step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The page tables are not such as the kernel left them.
    Tables(TableError),
    /// The host or the TDX module did not convert; how far it says that it came.
    MapGpa(MapGpaError),
    /// A page was not accepted.
    Accept(AcceptError),
    /// The byte at this address, of a page just accepted, is not zero.
    NotZero(u64),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tables(error) => write!(f, "{error}"),
            Self::MapGpa(error) => write!(f, "{error}"),
            Self::Accept(error) => write!(f, "{error}"),
            Self::NotZero(address) => {
                write!(f, "the accepted page of {address:#x} is not zero")
            }
        }
    }
}

/// Does `steps`. After an error no linear address leads to the block.
pub(super) fn run(
    machine: &mut impl Machine,
    steps: &[Step],
    block: Block,
) -> Result<(), (Step, Cause)> {
    for step in steps {
        if let Err(cause) = take(machine, *step, block) {
            seal(machine, block);
            return Err((*step, cause));
        }
    }
    Ok(())
}

fn take(machine: &mut impl Machine, step: Step, block: Block) -> Result<(), Cause> {
    match step {
        Step::ZeroPrivate => machine.zero_private(block),
        Step::UnmapPrivate => machine.map_private(block, false).map_err(Cause::Tables)?,
        Step::FlushPrivate => machine.flush_private(block),
        Step::AskShared => machine.ask_shared(block).map_err(Cause::MapGpa)?,
        Step::MapShared => machine.map_shared(block, true).map_err(Cause::Tables)?,
        Step::ZeroShared => machine.zero_shared(block),
        Step::UnmapShared => machine.map_shared(block, false).map_err(Cause::Tables)?,
        Step::FlushShared => machine.flush_shared(block),
        Step::AskPrivate => machine.ask_private(block).map_err(Cause::MapGpa)?,
        Step::Accept => machine.accept(block).map_err(Cause::Accept)?,
        Step::MapPrivate => machine.map_private(block, true).map_err(Cause::Tables)?,
        Step::CheckZero => {
            machine.find_byte(block).map_or(Ok(()), |at| Err(Cause::NotZero(at)))?;
        }
    }
    Ok(())
}

/// Takes the block off both mappings. What can not be unmapped was not mapped.
fn seal(machine: &mut impl Machine, block: Block) {
    let _is_unmapped = machine.map_private(block, false).is_ok();
    let _is_unmapped = machine.map_shared(block, false).is_ok();
    machine.flush_private(block);
    machine.flush_shared(block);
}
