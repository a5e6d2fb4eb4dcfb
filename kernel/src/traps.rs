//! What happens on each vector.
//!
//! #VE is routed, #UD and #GP are led to where the instruction's table entry says, #DB goes
//! to its handler if there is one, NMIs are counted. Any other exception is a bug in the
//! kernel, or a hostile host posting a vector below 32 as an interrupt [ABI-G 14]; both end
//! in a panic. The self-IPI is counted, other interrupts are acknowledged and dropped.
//!
//! An NMI comes at any moment but between a #VE and its VEINFO.GET [ABI-G 14], so also while
//! the stub of another interrupt is still on the IST stack that a #VE would start on.
//! Its handler therefore raises no #VE: it counts, and that is all.
#![expect(unsafe_code, reason = "loads the descriptor tables")]

use arch::BootCell;
use arch::trap::{self, Gap, Guarded, STACKS, Tables, TrapFrame};

use crate::memory::guard;
use crate::td::{Td, Tdcall};
use crate::{debug, fault, interrupts, ve};

/// #DB.
const DEBUG: u64 = 1;
/// NMI.
const NMI: u64 = 2;
/// #UD.
const INVALID_OPCODE: u64 = 6;
/// #GP.
const GENERAL_PROTECTION: u64 = 13;
/// #PF.
const PAGE_FAULT: u64 = 14;
/// #VE.
const VIRTUALIZATION: u64 = 20;
/// The first vector that is no exception.
const FIRST_INTERRUPT: u64 = 32;

/// Names of the exceptions by vector.
const NAMES: [&str; 22] = [
    "#DE",
    "#DB",
    "NMI",
    "#BP",
    "#OF",
    "#BR",
    "#UD",
    "#NM",
    "#DF",
    "coprocessor overrun",
    "#TS",
    "#NP",
    "#SS",
    "#GP",
    "#PF",
    "exception 15",
    "#MF",
    "#AC",
    "#MC",
    "#XM",
    "#VE",
    "#CP",
];

static TABLES: BootCell<Tables<Guarded>> = BootCell::new(Tables::new());

/// From here on exceptions are handled; interrupts stay off. The pages that it gives are to be
/// unmapped.
pub(crate) fn init() -> [Gap; STACKS] {
    let tables = TABLES.take().expect("traps are set up once");
    let gaps = tables.gaps();
    // SAFETY: boot enters in 64-bit mode at CPL 0 with interrupts off, this is the boot CPU,
    // and but for the gaps these mappings of the kernel never change.
    unsafe { trap::init(tables, on_trap) };
    gaps
}

fn on_trap(frame: &mut TrapFrame) {
    // First, and not by the compiler's order: most traps are #VE.
    if frame.vector == VIRTUALIZATION {
        return ve::on_exception(frame);
    }
    match frame.vector {
        DEBUG => on_debug(frame),
        NMI => interrupts::on_nmi(frame.rip),
        INVALID_OPCODE | GENERAL_PROTECTION => {
            if !fault::catch(frame) {
                die(frame);
            }
        }
        0..FIRST_INTERRUPT => die(frame),
        vector => interrupts::on_interrupt(vector as u8),
    }
}

/// #DB, the processor's or [`debug::single_step`]'s.
pub(crate) fn on_debug(frame: &mut TrapFrame) {
    if !debug::on_exception(frame) {
        die(frame);
    }
}

fn die(frame: &TrapFrame) -> ! {
    let name = NAMES.get(frame.vector as usize).unwrap_or(&"reserved exception");
    let (rip, error) = (frame.rip, frame.error);
    if frame.vector == PAGE_FAULT {
        let address = arch::cpu::cr2();
        if let Some(stack) = guard::stack_of(address) {
            overflow(stack, rip, address);
        }
        panic!("{name} at rip {rip:#x}, error {error:#x}, address {address:#x}");
    }
    panic!("{name} at rip {rip:#x}, error {error:#x}, rsp {:#x}", frame.rsp);
}

/// The end of a stack. It may have come in a #VE's stub: before anything else raises #VE, which
/// what prints does, VE_INFO must be free. [ABI-G 14]
fn overflow(stack: &str, rip: u64, address: u64) -> ! {
    let _nothing_pending = Td.vp_veinfo_get().is_err();
    panic!("stack overflow: rip {rip:#x} hit the guard page of the {stack} stack at {address:#x}");
}
