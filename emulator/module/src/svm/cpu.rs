//! The physical CPU's registers that the module sets up and switches.
#![expect(unsafe_code, reason = "instructions that Rust has no words for")]

use core::arch::asm;
use core::arch::x86_64::__cpuid_count;

use super::vmcb::efer;

const MSR_EFER: u32 = 0xC000_0080;
const MSR_TSC_AUX: u32 = 0xC000_0103;
const MSR_APIC_BASE: u32 = 0x1B;
const MSR_X2APIC_EOI: u32 = 0x80B;
const MSR_VM_HSAVE_PA: u32 = 0xC001_0117;

/// CPUID of the physical CPU.
#[must_use]
pub(super) fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let answer = __cpuid_count(leaf, subleaf);
    [answer.eax, answer.ebx, answer.ecx, answer.edx]
}

/// CPUID, with zeros for leaves above the CPU's maximum. [ABI-G 9]
#[must_use]
pub(super) fn known_cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let [maximum, ..] = cpuid(leaf & 0x8000_0000, 0);
    if leaf <= maximum { cpuid(leaf, subleaf) } else { [0; 4] }
}

/// XCR0 for the module: what it can switch of what the CPU has.
#[must_use]
pub(super) fn switched_xcr0() -> u64 {
    /// x87, SSE, AVX.
    const SWITCHED: u64 = 7;
    u64::from(known_cpuid(0xD, 0)[0]) & SWITCHED
}

/// CPUID as the CPU answers it while XCR0 is `value`.
///
/// # Safety
/// `value` is a valid XCR0 for this CPU.
pub(super) unsafe fn cpuid_with_xcr0(leaf: u32, subleaf: u32, value: u64) -> [u32; 4] {
    let own = xcr0();
    // SAFETY: valid by the caller's promise; nothing between here and the restore uses
    // more state than x87 and SSE, which XCR0 cannot take from non-XSAVE code.
    unsafe { set_xcr0(value) };
    let answer = cpuid(leaf, subleaf);
    // SAFETY: the value it had.
    unsafe { set_xcr0(own) };
    answer
}

/// The time stamp counter.
#[must_use]
pub(super) fn tsc() -> u64 {
    arch::cpu::rdtsc()
}

/// XCR0.
#[must_use]
pub(super) fn xcr0() -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: CR4.OSXSAVE is set by the start code; XGETBV writes its outputs alone.
    unsafe {
        asm!("xgetbv", in("ecx") 0, out("rax") low, out("rdx") high, options(nomem, nostack));
    }
    high << 32 | low
}

/// Writes XCR0.
///
/// # Safety
/// The CPU supports `value`.
pub(super) unsafe fn set_xcr0(value: u64) {
    // SAFETY: supported by the caller's promise; touches no register that Rust knows.
    unsafe {
        asm!("xsetbv", in("ecx") 0, in("eax") value as u32, in("edx") (value >> 32) as u32,
             options(nomem, nostack));
    }
}

/// Whether VMXON is undefined, as it has to be on a CPU without VMX: some QEMUs skip it.
/// [SVM B1.25]
#[must_use]
pub(super) fn vmxon_is_undefined() -> bool {
    let (operand, mut fault) = (0_u64, 0_u64);
    // SAFETY: without CR4.VMXE it has no effect; the trap handler leads a #UD behind it,
    // with a number in RAX.
    unsafe {
        asm!("771: vmxon [{operand}]", "772:",
             ".pushsection .extable, \"a\"", ".balign 8", ".quad 771b, 772b", ".popsection",
             operand = in(reg) &raw const operand, inout("rax") fault, options(nostack));
    }
    fault != 0
}

/// Makes VMRUN legal, with `host_save` as the page where the CPU keeps the host, and
/// clears GIF: from here on interrupts and NMIs wait until a guest runs or
/// [`take_interrupt`] or [`take_nmi`] lets one in.
///
/// # Safety
/// `host_save` is a page that nothing else uses.
pub(super) unsafe fn enable_svm(host_save: u64) {
    // SAFETY: EFER exists on every 64-bit CPU.
    let value = unsafe { arch::msr::read(MSR_EFER) };
    // SAFETY: adds SVME to what is there; no running code depends on its absence.
    unsafe { arch::msr::write(MSR_EFER, value | efer::SVME) };
    // SAFETY: the page is free by the caller's promise.
    unsafe { arch::msr::write(MSR_VM_HSAVE_PA, host_save) };
    // SAFETY: SVME is on.
    unsafe { asm!("clgi", options(nomem, nostack)) };
}

/// Lets the interrupt that ended a guest's run reach the trap handler.
pub(super) fn take_interrupt() {
    // SAFETY: SVM is on; the IDT is loaded, its handler copes with any vector, and GIF
    // and IF are clear again afterwards.
    unsafe { asm!("stgi", "sti", "nop", "nop", "cli", "clgi", options(nostack)) };
}

/// Lets the NMI that ended a guest's run reach the trap handler; interrupts stay out.
pub(super) fn take_nmi() {
    // SAFETY: as above; IF stays clear.
    unsafe { asm!("stgi", "nop", "nop", "clgi", options(nostack)) };
}

/// Writes the registers that VMRUN loads from the host to the VMCB at `vmcb`.
///
/// # Safety
/// SVM is on; the page at `vmcb` is the module's.
pub(super) unsafe fn vmsave(vmcb: u64) {
    // SAFETY: by the caller's promise.
    unsafe { asm!("vmsave rax", in("rax") vmcb, options(nostack)) };
}

/// CR0.
#[must_use]
pub(crate) fn cr0() -> u64 {
    let value;
    // SAFETY: reading CR0 at CPL 0 has no effect.
    unsafe { asm!("mov {}, cr0", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// CR8: the local APIC's task priority.
#[must_use]
pub(super) fn cr8() -> u64 {
    let value;
    // SAFETY: reading CR8 at CPL 0 has no effect.
    unsafe { asm!("mov {}, cr8", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// CR4 bits that the CPU takes, as its CPUID says; VMRUN refuses a guest with others.
/// [SVM B2]
#[must_use]
pub(super) fn supported_cr4() -> u64 {
    /// VME, PVI, TSD, DE, PSE, PAE, MCE, PGE, PCE, OSFXSR, OSXMMEXCPT: every 64-bit CPU.
    const ALWAYS: u64 = 0x7FF;
    let [_, _, leaf1_ecx, _] = cpuid(1, 0);
    let [_, leaf7_ebx, leaf7_ecx, leaf7_edx] = cpuid(7, 0);
    [
        (leaf7_ecx, 2, 11),  // UMIP
        (leaf7_ecx, 16, 12), // LA57
        (leaf7_ebx, 0, 16),  // FSGSBASE
        (leaf1_ecx, 17, 17), // PCIDE
        (leaf1_ecx, 26, 18), // OSXSAVE
        (leaf7_ebx, 7, 20),  // SMEP
        (leaf7_ebx, 20, 21), // SMAP
        (leaf7_ecx, 3, 22),  // PKE
        (leaf7_ecx, 7, 23),  // CET, with shadow stacks
        (leaf7_edx, 20, 23), // CET, with indirect branch tracking
        (leaf7_ecx, 31, 24), // PKS
    ]
    .iter()
    .filter(|(register, feature, _)| register >> feature & 1 == 1)
    .fold(ALWAYS, |cr4, (_, _, bit)| cr4 | 1 << bit)
}

/// DR0-3, which VMRUN does not switch. [SVM B2]
#[must_use]
pub(super) fn debug_registers() -> [u64; 4] {
    let (r0, r1, r2, r3): (u64, u64, u64, u64);
    // SAFETY: reading debug registers at CPL 0 has no effect (CR4.DE does not matter for 0-3).
    unsafe {
        asm!("mov {}, dr0", "mov {}, dr1", "mov {}, dr2", "mov {}, dr3",
             out(reg) r0, out(reg) r1, out(reg) r2, out(reg) r3, options(nomem, nostack));
    }
    [r0, r1, r2, r3]
}

/// Writes DR0-3.
pub(super) fn set_debug_registers([r0, r1, r2, r3]: [u64; 4]) {
    // SAFETY: the host's DR7 is 0x400 after every exit, so no address traps here.
    unsafe {
        asm!("mov dr0, {}", "mov dr1, {}", "mov dr2, {}", "mov dr3, {}",
             in(reg) r0, in(reg) r1, in(reg) r2, in(reg) r3, options(nomem, nostack));
    }
}

/// An MSR that the VMM writes natively and that QEMU has: IA32_MISC_ENABLE, or
/// IA32_TSC_ADJUST, which reads 0 there. Others read 0.
#[must_use]
pub(super) fn vmm_msr(index: u32) -> u64 {
    const TSC_ADJUST: u32 = 0x3B;
    const MISC_ENABLE: u32 = 0x1A0;
    match index {
        // SAFETY: reading either has no effect, and QEMU raises no exception for them.
        TSC_ADJUST | MISC_ENABLE => unsafe { arch::msr::read(index) },
        _ => 0,
    }
}

/// TSC_AUX, which VMRUN does not switch.
#[must_use]
pub(super) fn tsc_aux() -> u64 {
    // SAFETY: exists with RDTSCP, which the contract's CPU has; QEMU gives 0 otherwise.
    unsafe { arch::msr::read(MSR_TSC_AUX) }
}

/// Writes TSC_AUX.
pub(super) fn set_tsc_aux(value: u64) {
    // SAFETY: nothing in the module reads it; bits 63:32 are cut, which would be #GP.
    unsafe { arch::msr::write(MSR_TSC_AUX, value & 0xFFFF_FFFF) };
}

/// Ends the interrupt in service at the local APIC, in whichever mode the VMM has it.
pub(super) fn end_of_interrupt() {
    const X2APIC: u64 = 1 << 10;
    const PAGE: u64 = 0x000F_FFFF_FFFF_F000;
    const EOI: u64 = 0xB0;
    // SAFETY: exists on every 64-bit CPU.
    let base = unsafe { arch::msr::read(MSR_APIC_BASE) };
    if base & X2APIC != 0 {
        // SAFETY: the MSR exists in this mode; 0 is its one legal value.
        unsafe { arch::msr::write(MSR_X2APIC_EOI, 0) };
    } else {
        let register = core::ptr::with_exposed_provenance_mut::<u32>((base & PAGE | EOI) as usize);
        // SAFETY: the APIC's page, identity-mapped below 512 GiB, holds no Rust object.
        unsafe { register.write_volatile(0) };
    }
}

/// Masks the two 8259s: the firmware leaves IRQ 0 on. [SVM B2]
pub(super) fn mask_pic() {
    for port in [0x21, 0xA1] {
        // SAFETY: the mask register of the interrupt controller; no memory behind it.
        unsafe { arch::port::outb(port, 0xFF) };
    }
}
