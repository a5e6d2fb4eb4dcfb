//! Interrupts, as far as TD exits need them: one that the program sends to itself.
//!
//! The 8259s are masked: SeaBIOS leaves their timer on, and it would end a TD's run.
//! [SVM B2]
#![expect(unsafe_code, reason = "registers of the local APIC and of the 8259s")]

use core::ptr;

use arch::port;

const PIC_MASKS: [u16; 2] = [0x21, 0xA1];

/// Registers of the local APIC. [SDM3 12.4.1]
const BASE: usize = 0xFEE0_0000;
const EOI: usize = 0xB0;
const SPURIOUS: usize = 0xF0;
const ICR_LOW: usize = 0x300;

const SPURIOUS_VECTOR: u32 = 0xFF;
const ENABLED: u32 = 1 << 8;
const TO_SELF: u32 = 1 << 18;

/// Interrupts come from the local APIC alone from here on.
pub fn init() {
    for mask in PIC_MASKS {
        // SAFETY: masks interrupts, which are not handled anyway.
        unsafe { port::outb(mask, 0xFF) };
    }
    write(SPURIOUS, ENABLED | SPURIOUS_VECTOR);
}

/// Makes this interrupt pending; the program itself never takes one.
pub fn interrupt_self(vector: u8) {
    write(ICR_LOW, TO_SELF | u32::from(vector));
}

/// Tells the local APIC that the interrupt that a TD exit took is done.
pub fn end_of_interrupt() {
    write(EOI, 0);
}

fn write(register: usize, value: u32) {
    let register = ptr::with_exposed_provenance_mut::<u32>(BASE + register);
    // SAFETY: a register of the local APIC, which is this program's, identity-mapped.
    unsafe { register.write_volatile(value) };
}
