//! MapGPA at the level of the call: pages go to the host and come back, and what is seen of them.
//!
//! Nothing of the kernel's shared memory is used: the pages are a block of the heap that nobody
//! touches meanwhile, and their shared alias is mapped as a device's would be, so that a #VE there becomes
//! an MMIO request. What a hostile host does to it is on the console.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "memory that changes sides")]

extern crate alloc;

use alloc::alloc::{Layout, alloc};

use abi::{Gpa, GpaRange, GpaWidth, PAGE_SIZE, PageLevel, PrivateGpa, SharedGpa, Status};
use kernel::{Kernel, Verdict, println};
use tdcall::{ghci, guest};
use x86_64::instructions::port::Port;

kernel::main!(map_gpa);

const PATTERN: u64 = 0x7061_7474_6572_6E21;
/// The block: two units of 2 MiB and some pages, so that it has whole and cut units.
const PAGES: u64 = 2 * UNIT + 5;
const UNIT: u64 = 512;
const LEVEL: PageLevel = PageLevel::Size4K;

/// A block of memory at an address of the TD.
struct Block {
    at: *mut u64,
    gpa: u64,
    width: GpaWidth,
}

fn map_gpa(kernel: &mut Kernel) -> Verdict {
    let Some(block) = Block::new(kernel) else { return Verdict::CheckFailed };
    match block.tour(kernel).and_then(|()| block.look(kernel)) {
        Ok(()) => Verdict::Passed,
        Err(()) => Verdict::CheckFailed,
    }
}

impl Block {
    fn new(kernel: &Kernel) -> Option<Self> {
        let layout = Layout::from_size_align((PAGES * PAGE_SIZE) as usize, 1 << 21).ok()?;
        // SAFETY: the layout is not empty. The block is never freed.
        let at = words(unsafe { alloc(layout) }.expose_provenance());
        let gpa = kernel.memory.physical_address(at as u64)?;
        Some(Self { at, gpa, width: kernel.memory.gpa_width() })
    }

    /// The private word at the start of a page.
    fn word(&self, page: u64) -> *mut u64 {
        self.at.wrapping_add((page * PAGE_SIZE / 8) as usize)
    }

    /// Fills pages with the pattern.
    fn fill(&self, pages: core::ops::Range<u64>) {
        for page in pages {
            for index in 0..PAGE_SIZE as usize / 8 {
                // SAFETY: the block's memory, private now.
                unsafe { self.word(page).add(index).write_volatile(PATTERN) };
            }
        }
    }

    fn convert(&self, name: &str, pages: core::ops::Range<u64>, shared: bool) -> Result<(), ()> {
        let (start, bytes) =
            (self.gpa + pages.start * PAGE_SIZE, (pages.end - pages.start) * PAGE_SIZE);
        let gpa = if shared {
            SharedGpa::try_new(start, self.width).map(Gpa::Shared)
        } else {
            PrivateGpa::try_new(start, self.width).map(Gpa::Private)
        };
        let range = GpaRange::try_new(gpa.map_err(drop)?, bytes, self.width).map_err(drop)?;
        // SAFETY: no object lies in the block.
        match unsafe { ghci::map_gpa(range) } {
            Ok(()) => {
                println!("{name}: success");
                Ok(())
            }
            Err(error) => {
                let done_to = error.done_to & !self.width.shared_mask();
                let done = done_to.wrapping_sub(start) as i64 / PAGE_SIZE as i64;
                println!("{name}: {} after {done} pages", error.error);
                Err(())
            }
        }
    }

    /// Accepts pages, which then have to be zero.
    fn accept(&self, name: &str, pages: core::ops::Range<u64>) -> Result<(), ()> {
        for page in pages {
            let gpa = PrivateGpa::try_new(self.gpa + page * PAGE_SIZE, self.width).map_err(drop)?;
            // SAFETY: no object lies there.
            let status = unsafe { guest::mem_page_accept(gpa, LEVEL) };
            if status != Status::SUCCESS {
                println!("{name}: accept of page {page}: {status}");
                return Err(());
            }
            for index in 0..PAGE_SIZE as usize / 8 {
                // SAFETY: the block's memory, private again.
                let word = unsafe { self.word(page).add(index).read_volatile() };
                if word != 0 {
                    println!("{name}: page {page} holds {word:#x}");
                    return Err(());
                }
            }
        }
        println!("{name}: accepted and zero");
        Ok(())
    }

    /// What the host finds of a pattern, private at first and then shared.
    fn look(&self, kernel: &mut Kernel) -> Result<(), ()> {
        const READ: u32 = 1;
        const COUNT: u32 = 2;
        let Some(found) = command(PATTERN, COUNT) else { return Ok(()) };
        println!("the host finds {found} words of what is private");
        self.fill(8..9);
        self.convert("share what is full", 8..9, true)?;
        println!("the host finds {:?} words of what was private", command(PATTERN, COUNT));
        let page_8 = alias(kernel, self.gpa + 8 * PAGE_SIZE);
        println!("and {:x?} there", command(self.gpa + 8 * PAGE_SIZE, READ));
        write(page_8, PATTERN);
        println!("the host finds {:?} words of what is shared", command(PATTERN, COUNT));
        println!("and {:x?} there", command(self.gpa + 8 * PAGE_SIZE, READ));
        self.convert("unshare what is full", 8..9, false)?;
        println!("the host finds {:?} words of what was shared", command(PATTERN, COUNT));
        self.accept("unshare what is full", 8..9)
    }

    fn tour(&self, kernel: &mut Kernel) -> Result<(), ()> {
        let alias = |kernel: &mut Kernel, page: u64| alias(kernel, self.gpa + page * PAGE_SIZE);
        self.fill(0..8);
        // A few pages.
        let page_1 = alias(kernel, 1);
        self.convert("share", 0..3, true)?;
        println!("shared page reads {:#x}", read(page_1));
        write(page_1, 0x1234);
        println!("shared page keeps {:#x}", read(page_1));
        self.convert("unshare", 0..3, false)?;
        self.accept("unshare", 0..3)?;
        // A page that is shared no more, and not accepted yet.
        self.convert("share again", 1..2, true)?;
        write(page_1, 0x5678);
        self.convert("take back", 1..2, false)?;
        println!("the old alias reads {:#x}", read(page_1));
        self.convert("take back again", 1..2, false)?;
        self.accept("take back again", 1..2)?;
        // Pages that nobody asked for.
        let page_4 = alias(kernel, 4);
        println!("a touch reads {:#x}", read(page_4));
        write(page_4, 0x9ABC);
        self.accept("a touch", 4..5)?;
        // SAFETY: page 5 stayed private all the time.
        println!("its neighbour holds {:#x}", unsafe { self.word(5).read_volatile() });
        // Much: a whole unit and a cut one.
        let many = UNIT..PAGES - 1;
        self.fill(many.start..PAGES);
        self.convert("share many", many.clone(), true)?;
        for page in [many.start, many.end - 1] {
            println!("page {page} reads {:#x}", read(alias(kernel, page)));
        }
        // SAFETY: the last page stayed private.
        println!("the last page holds {:#x}", unsafe { self.word(PAGES - 1).read_volatile() });
        self.convert("unshare many", many.clone(), false)?;
        self.accept("unshare many", many)
    }
}

/// A command to the host's device for looks, with an operand: its result, if there is one.
fn command(operand: u64, command: u32) -> Option<u32> {
    const DONE: u32 = 1;
    let [mut low, mut high, mut commands, mut result] =
        [0x5B0, 0x5B4, 0x5B8, 0x5BC].map(Port::<u32>::new);
    // SAFETY: the ports of the device, or of nothing.
    unsafe {
        low.write(operand as u32);
        high.write((operand >> 32) as u32);
        commands.write(command);
        (commands.read() == DONE).then(|| result.read())
    }
}

/// The shared alias of the page at `gpa`.
fn alias(kernel: &mut Kernel, gpa: u64) -> *mut u64 {
    words(kernel.memory.map_device(gpa).register(0).expose_provenance())
}

/// A page as words.
fn words(page: usize) -> *mut u64 {
    core::ptr::with_exposed_provenance_mut(page)
}

fn read(at: *mut u64) -> u64 {
    // SAFETY: a mapped page without objects.
    unsafe { at.read_volatile() }
}

fn write(at: *mut u64, value: u64) {
    // SAFETY: as above.
    unsafe { at.write_volatile(value) };
}
