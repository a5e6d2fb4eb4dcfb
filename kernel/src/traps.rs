//! What happens on each vector.
//!
//! #VE is routed, the self-IPI is counted, other interrupts are acknowledged and dropped. Any
//! other exception is a bug in the kernel, or a hostile host posting a vector below 32 as an
//! interrupt [ABI-G 14]; both end in a panic.
#![expect(unsafe_code, reason = "loads the descriptor tables")]

use arch::BootCell;
use arch::trap::{self, Tables, TrapFrame};

use crate::{interrupts, ve};

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

static TABLES: BootCell<Tables> = BootCell::new(Tables::new());

/// From here on exceptions are handled; interrupts stay off.
pub(crate) fn init() {
    let tables = TABLES.take().expect("traps are set up once");
    // SAFETY: boot enters in 64-bit mode at CPL 0 with interrupts off, this is the boot CPU,
    // and the kernel's mappings never change.
    unsafe { trap::init(tables, on_trap) };
}

fn on_trap(frame: &mut TrapFrame) {
    match frame.vector {
        VIRTUALIZATION => ve::on_exception(frame),
        0..FIRST_INTERRUPT => die(frame),
        vector => interrupts::on_interrupt(vector as u8),
    }
}

fn die(frame: &TrapFrame) -> ! {
    let name = NAMES.get(frame.vector as usize).unwrap_or(&"reserved exception");
    let (rip, error) = (frame.rip, frame.error);
    if frame.vector == PAGE_FAULT {
        let address = arch::cpu::cr2();
        panic!("{name} at rip {rip:#x}, error {error:#x}, address {address:#x}");
    }
    panic!("{name} at rip {rip:#x}, error {error:#x}, rsp {:#x}", frame.rsp);
}
