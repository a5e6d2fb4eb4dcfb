//! One instruction at a time.

use core::arch::asm;
use core::arch::x86_64::__cpuid_count;

use abi::ExitReason;
use kernel::fault::Fault;
use kernel::io::{Mmio, Port};
use kernel::ve::{self, Outcome};
use kernel::{Memory, caught, interrupts, msr};

use super::Causes;

const IOAPIC: u64 = 0xFEC0_0000;
/// The IOAPIC's version register, and what it holds.
const VERSION: u32 = 1;
const VERSION_VALUE: u32 = 0x17_0020;
/// Scratch port: eight bytes of memory.
const SCRATCH: u16 = 0x5A0;
const APIC_BASE: u32 = 0x1B;
const BIOS_SIGN_ID: u32 = 0x8B;
/// An MSR whose #GP is the module's.
const SLAM_ENABLE: u32 = 0x276;
const MTRR_DEF_TYPE: u32 = 0x2FF;
const ESR: u32 = 0x828;
const LVT_TIMER: u32 = 0x832;
const MASKED_TIMER: u64 = 1 << 16 | 0xE5;
const SELF_IPI: u32 = 0x83F;
const CR0_CD: u64 = 1 << 30;
const CR4_MCE: u64 = 1 << 6;

const UD: Option<Fault> = Some(Fault::InvalidOpcode);
const GP: Option<Fault> = Some(Fault::GeneralProtection);

/// Executes an instruction that may be refused; what it raised.
macro_rules! refused {
    ($instruction:literal, $rax:expr) => {{
        let mut rax: u64 = $rax;
        // SAFETY: the kernel refuses the instruction, so that it does nothing.
        unsafe {
            asm!(caught!($instruction), inout("rax") rax, in("rcx") 0_u64, in("rdx") 0_u64,
                 options(nostack));
        }
        Fault::from_rax(rax)
    }};
}

pub(crate) fn run(causes: &mut Causes, memory: &mut Memory) {
    processor(causes);
    refusals(causes);
    caches_and_keys(causes);
    msrs(causes);
    ports(causes);
    device(causes, memory);
}

fn processor(causes: &mut Causes) {
    causes.step("hypervisor leaf", ExitReason::CPUID, (1, 1), || {
        let name = __cpuid_count(0x4000_0000, 0);
        [name.ebx, name.ecx, name.edx].map(u32::to_le_bytes).as_flattened() == b"KVMKVMKVM\0\0\0"
    });
    causes.step("power leaf", ExitReason::CPUID, (1, 0), || {
        let leaf = __cpuid_count(6, 0);
        leaf.eax | leaf.ebx | leaf.ecx | leaf.edx == 0
    });
    causes.step("sti; hlt", ExitReason::HLT, (1, 1), || {
        let before = interrupts::self_ipis();
        interrupts::halt_until_own_interrupt();
        interrupts::self_ipis() == before + 1
    });
}

fn refusals(causes: &mut Causes) {
    causes.step("invd", ExitReason::INVD, (1, 0), || refused!("invd", 0) == GP);
    causes.step("vmcall", ExitReason::VMCALL, (1, 0), || refused!("vmcall", 0) == UD);
    causes.step("monitor", ExitReason::MONITOR, (1, 0), || {
        let line = 0_u64;
        refused!("monitor", (&raw const line).addr() as u64) == UD
    });
    causes.step("mwait", ExitReason::MWAIT, (1, 0), || {
        let last = || ve::last().outcome;
        refused!("mwait", 0) == UD && last() == Outcome::Refused(Fault::InvalidOpcode)
    });
    let (cr0, cr4): (u64, u64);
    // SAFETY: reading control registers has no effect.
    unsafe { asm!("mov {}, cr0", "mov {}, cr4", out(reg) cr0, out(reg) cr4) };
    causes.step("cr4.mce = 0", ExitReason::CR_ACCESS, (1, 0), || {
        let fault = refused!("mov cr4, rax", cr4 & !CR4_MCE);
        let after: u64;
        // SAFETY: as above.
        unsafe { asm!("mov {}, cr4", out(reg) after) };
        fault == GP && after == cr4
    });
    causes.step("cr0.cd = 1", ExitReason::CR_ACCESS, (1, 0), || {
        refused!("mov cr0, rax", cr0 | CR0_CD) == GP
    });
}

fn caches_and_keys(causes: &mut Causes) {
    causes.step("wbinvd", ExitReason::WBINVD, (1, 1), || {
        refused!("wbinvd", 0).is_none() && ve::last().value == 0
    });
    causes.step("wbnoinvd", ExitReason::WBINVD, (1, 1), || {
        refused!("wbnoinvd", 0).is_none() && ve::last().value == 1 && ve::last().length == 3
    });
    causes.step("pconfig", ExitReason::PCONFIG, (1, 1), || {
        const INVALID_KEYID: u64 = 3;
        let (rax, is_zero): (u64, u8);
        // SAFETY: the host refuses to program a key; RAX and flags alone change.
        unsafe {
            asm!("pconfig", "setz {}", out(reg_byte) is_zero, inout("rax") 0_u64 => rax,
                 in("rcx") 0_u64, in("rdx") 0_u64, options(nostack));
        }
        (rax, is_zero) == (INVALID_KEYID, 1)
    });
    causes.step("pconfig leaf 1", ExitReason::PCONFIG, (1, 0), || refused!("pconfig", 1) == GP);
}

fn msrs(causes: &mut Causes) {
    causes.step("apic base", ExitReason::RDMSR, (1, 1), || msr::read(APIC_BASE) == Ok(0xFEE0_0D00));
    causes.step("mtrrs", ExitReason::RDMSR, (1, 0), || msr::read(MTRR_DEF_TYPE) == Ok(0x806));
    causes.step("refused", ExitReason::RDMSR, (1, 0), || {
        msr::read(BIOS_SIGN_ID) == Err(Fault::GeneralProtection)
    });
    causes.step("no exception", ExitReason::RDMSR, (0, 0), || {
        msr::read(SLAM_ENABLE) == Err(Fault::GeneralProtection)
    });
    let write = |index, value| {
        // SAFETY: registers of the local APIC; a masked timer does nothing.
        unsafe { msr::write(index, value) }
    };
    causes.step("timer", ExitReason::WRMSR, (1, 1), || write(LVT_TIMER, MASKED_TIMER).is_ok());
    causes.step("timer", ExitReason::RDMSR, (1, 1), || msr::read(LVT_TIMER) == Ok(MASKED_TIMER));
    causes.step("reserved bits", ExitReason::WRMSR, (1, 1), || {
        write(LVT_TIMER, 1 << 32) == Err(Fault::GeneralProtection)
    });
    causes.step("refused", ExitReason::WRMSR, (1, 0), || {
        write(APIC_BASE, 0) == Err(Fault::GeneralProtection)
    });
    causes.step("self-ipi 5", ExitReason::APIC_WRITE, (1, 0), || write(SELF_IPI, 5).is_ok());
    causes.step("esr", ExitReason::RDMSR, (1, 1), || msr::read(ESR) == Ok(0));
    causes.step("esr", ExitReason::WRMSR, (1, 1), || write(ESR, 0).is_ok());
    causes.step("esr", ExitReason::RDMSR, (1, 1), || msr::read(ESR) == Ok(0x20));
}

fn ports(causes: &mut Causes) {
    let out32 = |value| {
        // SAFETY: the scratch port is memory of the VMM.
        unsafe { arch::port::outl(SCRATCH, value) };
    };
    let in16 = || {
        // SAFETY: as above.
        unsafe { arch::port::inw(SCRATCH + 1) }
    };
    causes.step("out", ExitReason::IO, (1, 1), || {
        out32(0x1122_3344);
        true
    });
    causes.step("in", ExitReason::IO, (1, 1), || in16() == 0x2233);
    causes.step("in by call", ExitReason::IO, (0, 1), || {
        Port::<u16>::new(SCRATCH + 1).read() == Ok(0x2233)
    });
    causes.step("out by call", ExitReason::IO, (0, 1), || {
        Port::<u8>::new(SCRATCH + 2).write(0x99).is_ok()
    });
    causes.step("in", ExitReason::IO, (1, 1), || in16() == 0x9933);
}

fn device(causes: &mut Causes, memory: &mut Memory) {
    let device = memory.map_device(IOAPIC);
    let (selector, window) = (device.register(0), device.register(0x10));
    causes.step("mov to device", ExitReason::EPT_VIOLATION, (1, 1), || {
        // SAFETY: selects a register of the IOAPIC, which has no effect.
        unsafe { selector.write_volatile(VERSION) };
        true
    });
    causes.step("mov from device", ExitReason::EPT_VIOLATION, (1, 1), || {
        // SAFETY: reads a register of the IOAPIC, which has no effect.
        let version = unsafe { window.read_volatile() };
        version == VERSION_VALUE
    });
    causes.step("by call", ExitReason::EPT_VIOLATION, (0, 2), || {
        let register = |offset| Mmio::<u32>::new(&device, offset);
        let selected = register(0).is_some_and(|selector| selector.write(VERSION).is_ok());
        selected && register(0x10).is_some_and(|window| window.read() == Ok(VERSION_VALUE))
    });
}
