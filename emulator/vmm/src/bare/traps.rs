//! Exceptions and interrupts of the VMM itself.
#![expect(unsafe_code, reason = "loads the trap tables")]

use abi::verdict;
use arch::BootCell;
use arch::trap::{self, Tables, TrapFrame};

use super::{console, cpu};

static TABLES: BootCell<Tables> = BootCell::new(Tables::new());

const UNDEFINED_OPCODE: u64 = 6;
const GENERAL_PROTECTION: u64 = 13;
const MACHINE_CHECK: u64 = 18;
const FIRST_INTERRUPT: u64 = 32;

/// Traps end in [`handle`] from here on.
pub(super) fn init() {
    if let Some(tables) = TABLES.take() {
        // SAFETY: the start code leaves 64-bit mode at CPL 0 with interrupts off, this
        // is the only processor, and its one address space is the identity map.
        unsafe { trap::init(tables, handle) };
    }
}

fn handle(frame: &mut TrapFrame) {
    let vector = frame.vector;
    let can_be_fixed = matches!(vector, UNDEFINED_OPCODE | GENERAL_PROTECTION);
    if can_be_fixed && arch::extable::fixup(arch::extable!(), frame) {
        return;
    }
    match vector {
        MACHINE_CHECK => {
            log::info!("machine check: TD-private memory is not the VMM's");
            console::end(verdict::VMM_STOPPED)
        }
        FIRST_INTERRUPT.. => cpu::acknowledge(vector as u8),
        _ => {
            log::error!(
                "VMM: exception {vector} (error {:#x}) at rip {:#x}, rsp {:#x}, cr2 {:#x}",
                frame.error,
                frame.rip,
                frame.rsp,
                arch::cpu::cr2()
            );
            console::end(verdict::EMULATOR_FAILED)
        }
    }
}
