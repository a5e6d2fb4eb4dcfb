//! Time and interrupts: the ACPI timer as the clock, the local APIC's timer as the tick.
//!
//! The tick ends a TD's run (the watchdog looks then) and a sleep of the VMM. The 8259s are
//! masked: SeaBIOS leaves their timer on. [SVM B2]
#![expect(unsafe_code, reason = "registers of the local APIC, ports, STI, HLT, WBINVD, INVEPT")]

use core::arch::asm;
use core::arch::x86_64::__cpuid_count;
use core::ptr;

use arch::{msr, port, vmx};
use vmm::failure::Failure;
use vmm::seam::Cpu;

/// Where QEMU's firmware puts the ACPI timer of q35; 24 bits at 3.579545 MHz.
const ACPI_TIMER: u16 = 0x608;
const ACPI_TIMER_HZ: u64 = 3_579_545;
const ACPI_TIMER_MASK: u32 = 0xFF_FFFF;
/// Reads of the timer that show whether it runs; some take longer than its period.
const TRIES: u32 = 10_000;

const PIC_MASKS: [u16; 2] = [0x21, 0xA1];
const KEYID_PARTITIONING: u32 = 0x87;

/// Registers of the local APIC. [SDM3 12.4.1]
mod apic {
    pub(super) const BASE: usize = 0xFEE0_0000;
    pub(super) const EOI: usize = 0xB0;
    pub(super) const SPURIOUS: usize = 0xF0;
    pub(super) const ICR_LOW: usize = 0x300;
    pub(super) const LVT_TIMER: usize = 0x320;
    pub(super) const INITIAL_COUNT: usize = 0x380;
    pub(super) const DIVIDE: usize = 0x3E0;
}

const TICK_VECTOR: u8 = 0x40;
const SPURIOUS_VECTOR: u8 = 0xFF;
const APIC_ENABLED: u32 = 1 << 8;
const PERIODIC: u32 = 1 << 17;
const TO_SELF: u32 = 1 << 18;
const DIVIDE_BY_16: u32 = 0b0011;
/// 10 ms of QEMU's 1 GHz, divided by 16.
const TICK: u32 = 10_000_000 / 16;

/// The one processor.
#[derive(Debug)]
pub(super) struct Processor {
    last: u32,
    /// Cycles of the ACPI timer since the start.
    cycles: u64,
}

impl Processor {
    /// Starts clock and tick.
    pub(super) fn start() -> Result<Self, Failure> {
        let last = timer();
        if (0..TRIES).all(|_| timer() == last) {
            return Err(Failure::Unsuitable("the ACPI timer at port 0x608 does not run"));
        }
        for mask in PIC_MASKS {
            // SAFETY: masks interrupts, which are not handled anyway.
            unsafe { port::outb(mask, 0xFF) };
        }
        write(apic::SPURIOUS, APIC_ENABLED | u32::from(SPURIOUS_VECTOR));
        write(apic::DIVIDE, DIVIDE_BY_16);
        write(apic::LVT_TIMER, PERIODIC | u32::from(TICK_VECTOR));
        write(apic::INITIAL_COUNT, TICK);
        Ok(Self { last, cycles: 0 })
    }
}

impl Cpu for Processor {
    fn now_ns(&mut self) -> u64 {
        let now = timer();
        self.cycles += u64::from(now.wrapping_sub(self.last) & ACPI_TIMER_MASK);
        self.last = now;
        (u128::from(self.cycles) * 1_000_000_000 / u128::from(ACPI_TIMER_HZ)) as u64
    }

    fn tsc(&mut self) -> u64 {
        arch::cpu::rdtsc()
    }

    fn keyid_partitioning(&mut self) -> u64 {
        // SAFETY: the module below has the MSR; without it this is not reached, because
        // SYS.INIT fails.
        unsafe { msr::read(KEYID_PARTITIONING) }
    }

    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> [u32; 4] {
        let values = __cpuid_count(leaf, subleaf);
        [values.eax, values.ebx, values.ecx, values.edx]
    }

    fn wbinvd(&mut self) {
        // SAFETY: no memory changes by it, and the processor is at CPL 0.
        unsafe { asm!("wbinvd", options(nostack, preserves_flags)) };
    }

    fn invept(&mut self) -> bool {
        // SAFETY: CPL 0 in VMX operation, which the VMM entered before its first SEAMCALL.
        unsafe { vmx::invept_all() }
    }

    fn interrupt(&mut self, vector: u8) {
        acknowledge(vector);
    }

    fn interrupt_self(&mut self, vector: u8) {
        write(apic::ICR_LOW, TO_SELF | u32::from(vector));
    }

    fn wait(&mut self) {
        // SAFETY: the handler of every interrupt acknowledges it and returns; STI's shadow
        // lets none in before HLT.
        unsafe { asm!("sti", "hlt", "cli", options(nostack)) };
    }
}

/// Tells the local APIC that an interrupt is done.
pub(super) fn acknowledge(vector: u8) {
    if vector != SPURIOUS_VECTOR {
        write(apic::EOI, 0);
    }
}

fn timer() -> u32 {
    // SAFETY: reads a timer.
    unsafe { port::inl(ACPI_TIMER) & ACPI_TIMER_MASK }
}

fn write(register: usize, value: u32) {
    let register = ptr::with_exposed_provenance_mut::<u32>(apic::BASE + register);
    // SAFETY: a register of the local APIC, which is the VMM's, identity-mapped.
    unsafe { register.write_volatile(value) };
}
