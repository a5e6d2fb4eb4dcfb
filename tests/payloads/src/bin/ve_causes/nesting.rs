//! #DB, #VE and NMI inside the handling of a #VE.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use abi::ExitReason;
use arch::trap::TrapFrame;
use kernel::{debug, interrupts, msr};

use super::Causes;

/// Scratch port: memory, and the queue.
const SCRATCH: u16 = 0x5A0;
const QUEUE: u64 = 0x5A8;
/// x2APIC: interrupt command; an NMI to oneself.
const ICR: u32 = 0x830;
const NMI_TO_SELF: u64 = 1 << 18 | 4 << 8;
const TDCALL: [u8; 4] = [0x66, 0x0F, 0x01, 0xCC];
const TRAP_FLAG: u64 = 1 << 8;
/// DR6.BS.
const SINGLE_STEP: u64 = 1 << 14;
/// Steps that are taken down.
const STEPS: usize = 7;
/// Behind each instruction of [`step`]; REP is a step an iteration, the last behind it.
/// [SDM3 18.3.1.4]
const BOUNDARIES: [u64; STEPS] = [1, 2, 2, 2, 4, 5, 6];

static STEP: AtomicUsize = AtomicUsize::new(0);
static RIPS: [AtomicU64; STEPS] = [const { AtomicU64::new(0) }; STEPS];

pub(crate) fn run(causes: &mut Causes) {
    debug::set_handler(on_debug);
    // Each step's handler raises one more exception: inside that of a stepped one.
    let count = 5 + STEPS as u64;
    causes.step("single steps", ExitReason::IO, (count, count), || step() == BOUNDARIES);
    causes.step("nmi inside", ExitReason::WRMSR, (1, 1), || {
        let before = interrupts::nmis();
        // SAFETY: the kernel counts NMIs.
        let is_sent = unsafe { msr::write(ICR, NMI_TO_SELF) }.is_ok();
        is_sent && interrupts::nmis() == before + 1 && came_at_a_tdcall()
    });
}

/// The handler of #DB: takes RIP down, and reads a port; ends the stepping after the last.
fn on_debug(frame: &mut TrapFrame) {
    let dr6: u64;
    // SAFETY: reads and clears why #DB came.
    unsafe { asm!("mov {0}, dr6", "mov dr6, {1}", out(reg) dr6, in(reg) 0xFFFF_0FF0_u64) };
    let step = STEP.fetch_add(1, Relaxed);
    let rip = if dr6 & SINGLE_STEP == 0 { 0 } else { frame.rip };
    if let Some(place) = RIPS.get(step) {
        place.store(rip, Relaxed);
    }
    // SAFETY: the scratch port is memory of the VMM.
    let _memory = unsafe { arch::port::inb(SCRATCH) };
    if step + 1 >= STEPS {
        frame.rflags &= !TRAP_FLAG;
    }
}

/// Steps over five instructions; how far into them each step ended.
fn step() -> [u64; STEPS] {
    let buffer = [0_u8; 3];
    let start: u64;
    // SAFETY: the instructions read three bytes of the buffer, the scratch port, and write
    // RAX, RCX and RSI.
    unsafe {
        asm!(
            "lea {start}, [rip + 2f]",
            "pushfq",
            "or qword ptr [rsp], {trap_flag}",
            "popfq",
            "2: nop",
            "out dx, al",
            "rep outsb",
            "in al, dx",
            "nop",
            start = out(reg) start,
            trap_flag = const TRAP_FLAG,
            inout("rcx") buffer.len() => _, inout("rsi") buffer.as_ptr() => _,
            in("rdx") QUEUE, inout("rax") 0_u64 => _,
        );
    }
    RIPS.each_ref().map(|rip| rip.load(Relaxed).wrapping_sub(start))
}

/// The NMI came behind a TDCALL: in the handler, when the host let the TD go on.
fn came_at_a_tdcall() -> bool {
    let before = interrupts::last_nmi_rip().wrapping_sub(TDCALL.len() as u64);
    let code = core::ptr::with_exposed_provenance::<[u8; 4]>(before as usize);
    // SAFETY: the kernel's own code, which it interrupted.
    (unsafe { code.read_unaligned() }) == TDCALL
}
