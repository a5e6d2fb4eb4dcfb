//! The end of a run: its verdict.
#![expect(unsafe_code, reason = "ports that end the machine")]

use core::fmt;

use abi::verdict;
use arch::{cpu, port};

use crate::println;

/// PCI configuration address of the LPC bridge, 00:1F.0, of q35. [TDVF 3.5]
const LPC: u32 = 0x8000_F800;
/// LPC register: base of the ACPI ports; bit 0 is fixed at 1.
const PMBASE: u32 = 0x40;
/// Where the ACPI ports go.
const PM_PORTS: u16 = 0x600;
/// LPC register: bit 7 maps the ACPI ports.
const ACPI_CNTL: u32 = 0x44;
/// PM1_CNT, SLP_EN with SLP_TYP 0: S5.
const SLEEP_S5: u16 = 0x2000;

/// PCI configuration: address port.
pub(crate) const PCI_ADDRESS: u16 = 0xCF8;
/// PCI configuration: data port.
pub(crate) const PCI_DATA: u16 = 0xCFC;

/// How a run ended. A panic has no verdict: it is reported as fatal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All checks passed.
    Passed,
    /// A check failed.
    CheckFailed,
    /// This is not a trust domain.
    NotATrustDomain,
}

impl Verdict {
    /// The number that leaves the machine.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::Passed => verdict::PASSED,
            Self::CheckFailed => verdict::CHECK_FAILED,
            Self::NotATrustDomain => verdict::NOT_A_TRUST_DOMAIN,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::CheckFailed => "a check failed",
            Self::NotATrustDomain => "not a trust domain",
        })
    }
}

/// Ends the run. The verdict is on the console first. Then by the debug-exit port, else by ACPI
/// power-off, else by ReportFatalError if the verdict is not good, else by halting.
pub fn exit(verdict: Verdict) -> ! {
    println!("# verdict: {verdict}");
    // SAFETY: the port has at most the debug-exit device, which ends the machine.
    unsafe { port::outl(verdict::PORT, verdict.code()) };
    power_off();
    assert!(verdict == Verdict::Passed, "verdict: {verdict}");
    cpu::halt()
}

/// ACPI S5 on q35, whose ACPI ports are not mapped at reset. [TDVF 3.5]
fn power_off() {
    select(LPC | PMBASE);
    // SAFETY: moves the ACPI ports, which nothing uses.
    unsafe { port::outl(PCI_DATA, u32::from(PM_PORTS) | 1) };
    select(LPC | ACPI_CNTL);
    // SAFETY: maps the ACPI ports, which nothing uses.
    unsafe { port::outb(PCI_DATA, 0x80) };
    // SAFETY: asks for power-off.
    unsafe { port::outw(PM_PORTS + 4, SLEEP_S5) };
}

fn select(register: u32) {
    // SAFETY: selects what the data port means.
    unsafe { port::outl(PCI_ADDRESS, register) };
}
