//! TDCALL outside of CPL 0 and of 64-bit mode: #GP(0). [ABI-G 1]
//!
//! A few pages are mapped below 4 GiB, twice: for user mode and for compatibility mode. The
//! first holds a TDCALL, the rest is its stack. [`traps`] brings the processor back.
#![expect(unsafe_code, reason = "page tables, GDT, IRETQ to code without a Rust function")]

use alloc::alloc::{Layout, alloc_zeroed};
use core::arch::asm;

use abi::leaf::tdg;
use abi::{PAGE_SIZE, Status};
use arch::BootCell;
use kernel::Kernel;

use super::run::What;
use super::traps::{self, Trap};
use super::{Run, traps::Landing};

/// Where the pages are mapped.
const USER: u64 = 0x4000_0000;
const SUPERVISOR: u64 = 0x4020_0000;
const PAGES: u64 = 8;

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const USER_PAGE: u64 = 1 << 2;
const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;

/// Selectors behind the kernel's: compatibility-mode code, user data, user code.
const CODE_32: u64 = 0x28;
const USER_DATA: u64 = 0x30 | 3;
const USER_CODE: u64 = 0x38 | 3;
/// The kernel's data segment.
const DATA: u64 = 0x10;

/// The kernel's GDT with three descriptors more.
static GDT: BootCell<[u64; 8]> = BootCell::new([0; 8]);

/// Calls TDG.VP.INFO where TDCALL is not allowed.
pub fn all(run: &mut Run<'_>) {
    let code = prepare(run.world.kernel);
    let name = |name| What(tdg::VP_INFO, "ABI-G 1", name, GP);
    let user = at(USER, USER_CODE, USER_DATA);
    run.typed(name("TDCALL at CPL 3"), &user, &EXPECTED);
    let compatibility = at(SUPERVISOR, CODE_32, DATA);
    run.typed(name("TDCALL in compatibility mode"), &compatibility, &EXPECTED);
    // The same bytes where they are allowed: the module answers, and UD2 is reached.
    let allowed = at(SUPERVISOR, 0x08, DATA);
    let what =
        What(tdg::VP_INFO, "ABI-G 1", "the same code in 64-bit mode at CPL 0", Status::SUCCESS);
    run.typed(what, &allowed.map(|trap| trap.vector), &Some(6));
    // SAFETY: the pages are this module's, and nobody runs in them any more.
    unsafe { code.write_bytes(0, TEXT.len()) };
}

const GP: Status = conformance::raised(13);
const EXPECTED: Option<Trap> = Some(Trap { vector: 13, error: 0, resume_flag: true });

/// TDCALL, UD2.
const TEXT: [u8; 6] = [0x66, 0x0F, 0x01, 0xCC, 0x0F, 0x0B];

/// Maps the pages and loads the GDT; gives the first page.
fn prepare(kernel: &Kernel) -> *mut u8 {
    let pages = zeroed(PAGES * PAGE_SIZE);
    for (offset, byte) in TEXT.into_iter().enumerate() {
        // SAFETY: inside the first page.
        unsafe { pages.add(offset).write(byte) };
    }
    let first = physical(kernel, pages);
    for (start, flags) in [(USER, USER_PAGE), (SUPERVISOR, 0)] {
        for page in 0..PAGES {
            map(kernel, start + page * PAGE_SIZE, first + page * PAGE_SIZE, flags);
        }
    }
    load_gdt();
    pages
}

/// Memory of the heap, which lies in the physical mapping, page aligned.
fn zeroed(bytes: u64) -> *mut u8 {
    let layout = Layout::from_size_align(bytes as usize, PAGE_SIZE as usize);
    let layout = layout.expect("the alignment is a power of two");
    // SAFETY: the size is not zero.
    let at = unsafe { alloc_zeroed(layout) };
    assert!(!at.is_null(), "no memory");
    at
}

fn physical(kernel: &Kernel, at: *mut u8) -> u64 {
    (at.addr() - kernel.memory.physical(0).addr()) as u64
}

/// Maps a page of 4 KiB in the lower half, of which the kernel uses almost nothing.
fn map(kernel: &Kernel, address: u64, page: u64, flags: u64) {
    let mut table: u64;
    // SAFETY: reads CR3.
    unsafe { asm!("mov {}, cr3", out(reg) table, options(nomem, nostack)) };
    for level in (0..4).rev() {
        let index = address >> (12 + 9 * level) & 511;
        let entry = kernel.memory.physical((table & ADDRESS) + 8 * index);
        let entry = core::ptr::with_exposed_provenance_mut::<u64>(entry.expose_provenance());
        // SAFETY: an entry of a live table, in the physical mapping; nobody else has a
        // reference to it.
        let value = unsafe { entry.read_volatile() };
        let next = match level {
            0 => page,
            _ if value & PRESENT != 0 => value & ADDRESS,
            _ => physical(kernel, zeroed(PAGE_SIZE)),
        };
        let rights = PRESENT | WRITABLE | if level == 0 { flags } else { USER_PAGE };
        // SAFETY: as above; rights grow in the tables above alone, and the leaf was free.
        unsafe { entry.write_volatile(next | rights) };
        table = next;
    }
    // SAFETY: forgets a translation.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack)) };
}

/// Loads a copy of the GDT with the segments that the kernel does not have.
fn load_gdt() {
    #[repr(C, packed)]
    struct Pointer {
        limit: u16,
        base: u64,
    }
    let gdt = GDT.take().expect("the modes are entered once");
    let mut current = Pointer { limit: 0, base: 0 };
    // SAFETY: stores limit and base.
    unsafe { asm!("sgdt [{}]", in(reg) &raw mut current, options(nostack)) };
    let old = core::ptr::with_exposed_provenance::<u64>(current.base as usize);
    for (index, descriptor) in gdt.iter_mut().take(5).enumerate() {
        // SAFETY: the kernel's GDT has five entries: null, code, data, and the TSS's two.
        *descriptor = unsafe { old.add(index).read() };
    }
    // Flat: code of 32 bits at CPL 0; data, and code of 64 bits, at CPL 3.
    gdt[5] = 0x00CF_9B00_0000_FFFF;
    gdt[6] = 0x00CF_F300_0000_FFFF;
    gdt[7] = 0x00AF_FB00_0000_FFFF;
    let limit = size_of_val(gdt) as u16 - 1;
    let new = Pointer { limit, base: gdt.as_ptr().addr() as u64 };
    // SAFETY: the first entries are those in use, and the table lives for ever.
    unsafe { asm!("lgdt [{}]", in(reg) &raw const new, options(nostack)) };
}

/// Goes to the pages at `start` with these segments; gives the trap that brought it back.
fn at(start: u64, cs: u64, ss: u64) -> Option<Trap> {
    let stack = start + PAGES * PAGE_SIZE;
    traps::landing(|landing: &'static Landing| {
        // SAFETY: the code there is a TDCALL that reads nothing, and UD2; the trap handler
        // comes back to the label with RSP as it was, and every register is declared or
        // restored.
        unsafe {
            asm!(
                "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
                "mov [rdi], rsp",
                "lea rax, [rip + 2f]",
                "mov [rdi + 8], rax",
                "push rsi",
                "push rdx",
                "push 2",
                "push rcx",
                "push r8",
                "mov eax, {leaf}",
                "iretq",
                "2:",
                "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx",
                leaf = const tdg::VP_INFO,
                inlateout("rdi") &raw const *landing => _,
                inlateout("rsi") ss => _,
                inlateout("rdx") stack => _,
                inlateout("rcx") cs => _,
                inlateout("r8") start => _,
                clobber_abi("sysv64"),
            );
        }
    })
}
