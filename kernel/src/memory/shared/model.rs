//! A model of the TD's pages, its translations, the TDX module and a hostile host, to try
//! conversions in: every order of their steps, with what the host can do between any two.
//!
//! A page has two sides. Whatever the TD's own page tables lead to is at once in the TLB, as
//! speculation may put it there, and stays until it is flushed. What a removed page held is
//! taken to be the host's to read, though the processor would hide it: so only a page that was
//! zeroed gives nothing away. The host reads after every step: reading changes nothing, so
//! that is every interleaving of its reads. Its writes are tried between any steps.

use std::collections::BTreeSet;
use std::vec;
use std::vec::Vec;

use abi::{GhciStatus, GpaWidth, PAGE_SIZE, PageLevel, PrivateGpa, Status};
use tdcall::accept::{Accept, AcceptError, Accepted, accept_range};
use tdcall::ghci::{MapGpaError, VmcallError};

use super::super::tables::TableError;
use super::convert::{Block, Machine};

/// What a page holds; one byte stands for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Zero,
    /// The TD's.
    Secret,
    /// The host's.
    Garbage,
}

/// A page of the private half, to the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Private {
    /// The host gave none.
    Absent,
    /// Given, not accepted.
    Pending,
    /// The TD's.
    Mapped(Content),
}

/// A linear address's way to a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Way {
    is_present: bool,
    is_cached: bool,
}

impl Way {
    const fn leads_there(self) -> bool {
        self.is_present || self.is_cached
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) private: Private,
    /// None: the host has no page there.
    pub(super) shared: Option<Content>,
    /// Pages that the host took back.
    taken: Vec<Content>,
    to_private: Way,
    to_shared: Way,
    /// The host says so.
    is_shared: bool,
}

/// What the host does between two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Nothing,
    /// Writes into every shared page that it backs.
    Write,
    /// Takes the private pages that the TD has in use.
    Take,
}

/// What the host answers to MapGPA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Success, and it is done.
    Honest,
    /// Success, and nothing is done.
    Lie,
    /// So many pages are done, then this.
    Fails(usize, GhciStatus),
}

/// What the module answers to ACCEPT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acceptance {
    /// As it is.
    True,
    /// A page that is in use by now: the host was quicker.
    Already,
    /// For ever.
    Busy,
    /// A page that is not zero: no module of Intel's does so.
    NotZero,
}

/// The world.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) pages: Vec<Page>,
    pub(super) answer: Answer,
    pub(super) acceptance: Acceptance,
    /// What the host does after each step, and at last for ever.
    pub(super) deeds: Vec<Deed>,
    /// How many steps there were since the first of `deeds`.
    pub(super) step: usize,
    /// Blocks in the heap and out of it.
    pub(super) is_given_out: bool,
    pub(super) has_tables: bool,
    pub(super) has_memory: bool,
    /// What went wrong.
    pub(super) breaches: BTreeSet<&'static str>,
    /// The TD is dead: no breach of secrecy, and no step after it.
    pub(super) is_dead: bool,
}

/// Where the block is.
const START: u64 = 0x3F_E000;

impl World {
    /// So many pages, the TD's, with a secret in them, in the heap.
    pub(super) fn new(pages: usize) -> Self {
        let page = Page {
            private: Private::Mapped(Content::Secret),
            shared: None,
            taken: Vec::new(),
            to_private: Way { is_present: true, is_cached: true },
            to_shared: Way::default(),
            is_shared: false,
        };
        Self {
            pages: vec![page; pages],
            answer: Answer::Honest,
            acceptance: Acceptance::True,
            deeds: Vec::new(),
            step: 0,
            is_given_out: false,
            has_tables: true,
            has_memory: true,
            breaches: BTreeSet::new(),
            is_dead: false,
        }
    }

    pub(super) fn block(&self) -> Block {
        Block::new(START, self.pages.len(), GpaWidth::Bits48).unwrap()
    }

    /// Nothing went wrong so far.
    pub(super) fn is_fine(&self) -> bool {
        self.breaches.is_empty() && !self.is_dead
    }

    /// All pages are shared, mapped as that alone, and zero.
    pub(super) fn is_shared(&self) -> bool {
        self.pages.iter().all(|page| {
            let is_mapped = page.to_shared.is_present && !page.to_private.leads_there();
            is_mapped && page.is_shared && page.shared == Some(Content::Zero)
        })
    }

    /// All pages are private, mapped as that alone, and zero.
    pub(super) fn is_private(&self) -> bool {
        self.pages.iter().all(|page| {
            let is_mapped = page.to_private.is_present && !page.to_shared.leads_there();
            is_mapped && !page.is_shared && page.private == Private::Mapped(Content::Zero)
        })
    }

    /// No way leads to any page.
    pub(super) fn is_sealed(&self) -> bool {
        let leads = |page: &Page| page.to_private.leads_there() || page.to_shared.leads_there();
        !self.pages.iter().any(leads)
    }

    fn breach(&mut self, what: &'static str) {
        if !self.is_dead {
            self.breaches.insert(what);
        }
    }

    /// After each thing that the TD does: the host's deed, and its look at everything.
    fn after(&mut self) {
        let deed = self.deeds.get(self.step).copied().unwrap_or(Deed::Nothing);
        self.step += 1;
        for page in &mut self.pages {
            for way in [&mut page.to_private, &mut page.to_shared] {
                way.is_cached |= way.is_present;
            }
            match (deed, page.private) {
                (Deed::Write, _) if page.shared.is_some() => page.shared = Some(Content::Garbage),
                (Deed::Take, Private::Mapped(content)) => {
                    page.taken.push(content);
                    page.private = Private::Absent;
                }
                _ => {}
            }
        }
        self.look();
    }

    fn look(&mut self) {
        // What the host takes by force is its deed, not the order's: the processor hides it.
        let by_force = self.deeds.contains(&Deed::Take);
        let lies = self.answer == Answer::Lie;
        for page in self.pages.clone() {
            let (private, shared) = (page.to_private.leads_there(), page.to_shared.leads_there());
            let has_secret = page.taken.iter().chain(&page.shared).any(|c| *c == Content::Secret);
            let is_there = matches!(page.private, Private::Mapped(_));
            if has_secret && !by_force {
                self.breach("the host reads a secret");
            }
            if shared && !page.is_shared && !lies {
                self.breach("a way to the shared side of a private page");
            }
            if private && page.is_shared {
                self.breach("a way to the private side of a shared page");
            }
            if private && !page.is_shared && !is_there && !by_force {
                self.breach("a way to a private page that is not accepted");
            }
        }
    }

    /// An access of the TD to all private pages: what it does to each. A page that is not
    /// there ends the TD.
    fn private(&mut self, access: impl Fn(&mut Content)) {
        for page in &mut self.pages {
            match &mut page.private {
                Private::Mapped(content) if page.to_private.is_present => access(content),
                _ => self.is_dead = true,
            }
        }
    }

    /// The same of the shared pages; one that is not the host's raises #VE or exits.
    fn shared(&mut self, access: impl Fn(&mut Content)) {
        for page in &mut self.pages {
            match &mut page.shared {
                Some(content) if page.is_shared && page.to_shared.is_present => access(content),
                _ => self.is_dead = true,
            }
        }
    }

    /// MapGPA.
    fn ask(&mut self, to_shared: bool) -> Result<(), MapGpaError> {
        let (done, answer) = match self.answer {
            Answer::Honest => (self.pages.len(), None),
            Answer::Lie => (0, None),
            Answer::Fails(done, status) => (done, Some(status)),
        };
        for page in self.pages.iter_mut().take(done) {
            if to_shared {
                if let Private::Mapped(content) = page.private {
                    page.taken.push(content);
                }
                page.private = Private::Absent;
                // Backed by what the host likes.
                page.shared = Some(Content::Garbage);
            } else {
                page.shared = None;
                page.private = Private::Pending;
            }
            page.is_shared = to_shared;
        }
        let block = self.block();
        let start = if to_shared { block.alias.bits() } else { block.start.bits() };
        match answer {
            None => Ok(()),
            Some(status) => Err(MapGpaError {
                error: VmcallError::Vmm(status),
                done_to: start + done as u64 * PAGE_SIZE,
            }),
        }
    }
}

impl Machine for World {
    fn allocate(&mut self, pages: usize) -> Option<Block> {
        assert!(!self.is_given_out && pages == self.pages.len());
        self.is_given_out = self.has_memory;
        self.has_memory.then(|| self.block())
    }

    fn free(&mut self, _: Block) {
        let is_ours = |page: &Page| {
            let is_there = matches!(page.private, Private::Mapped(_));
            is_there && page.to_private.is_present && !page.to_shared.leads_there()
        };
        if !self.pages.iter().all(is_ours) {
            self.breach("the heap gets a page that is not private and mapped");
        }
        self.is_given_out = false;
    }

    fn prepare(&mut self, _: Block) -> Result<(), TableError> {
        if self.has_tables { Ok(()) } else { Err(TableError::NoMemory) }
    }

    fn zero_private(&mut self, _: Block) {
        self.private(|content| *content = Content::Zero);
        self.after();
    }

    fn map_private(&mut self, _: Block, is_present: bool) -> Result<(), TableError> {
        self.pages.iter_mut().for_each(|page| page.to_private.is_present = is_present);
        self.after();
        Ok(())
    }

    fn flush_private(&mut self, _: Block) {
        self.pages.iter_mut().for_each(|page| page.to_private.is_cached = false);
        self.after();
    }

    fn ask_shared(&mut self, _: Block) -> Result<(), MapGpaError> {
        let result = self.ask(true);
        self.after();
        result
    }

    fn map_shared(&mut self, _: Block, is_present: bool) -> Result<(), TableError> {
        self.pages.iter_mut().for_each(|page| page.to_shared.is_present = is_present);
        self.after();
        Ok(())
    }

    fn flush_shared(&mut self, _: Block) {
        self.pages.iter_mut().for_each(|page| page.to_shared.is_cached = false);
        self.after();
    }

    fn zero_shared(&mut self, _: Block) {
        self.shared(|content| *content = Content::Zero);
        self.after();
    }

    fn ask_private(&mut self, _: Block) -> Result<(), MapGpaError> {
        let result = self.ask(false);
        self.after();
        result
    }

    fn accept(&mut self, block: Block) -> Result<(), AcceptError> {
        let range = block.start.bits()..block.end();
        let result = accept_range(self, range, GpaWidth::Bits48, &mut Accepted::default());
        self.after();
        result
    }

    fn find_byte(&mut self, block: Block) -> Option<u64> {
        self.private(|_| ());
        let zero = Private::Mapped(Content::Zero);
        let found = self.pages.iter().position(|page| page.private != zero);
        self.after();
        found.map(|page| block.start.bits() + page as u64 * PAGE_SIZE)
    }
}

impl Accept for World {
    fn mem_page_accept(&mut self, gpa: PrivateGpa, level: PageLevel) -> Status {
        assert_eq!(level, PageLevel::Size4K, "the block has no whole large page");
        let acceptance = self.acceptance;
        let lies = self.answer == Answer::Lie;
        let page = &mut self.pages[((gpa.bits() - START) / PAGE_SIZE) as usize];
        let (content, status) = match acceptance {
            Acceptance::Already => return Status::PAGE_ALREADY_ACCEPTED,
            Acceptance::Busy => return Status::OPERAND_BUSY.with_detail(1),
            Acceptance::NotZero => (Content::Garbage, Status::SUCCESS),
            Acceptance::True => (Content::Zero, Status::SUCCESS),
        };
        match page.private {
            Private::Mapped(_) => return Status::PAGE_ALREADY_ACCEPTED,
            // An exit, and then the host's to give a page or not: one that lied does.
            Private::Absent if !lies => {
                self.is_dead = true;
                return Status::OPERAND_INVALID;
            }
            Private::Absent => (page.shared, page.is_shared) = (None, false),
            Private::Pending => {}
        }
        page.private = Private::Mapped(content);
        status
    }
}
