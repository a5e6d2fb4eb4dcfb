//! Instructions that the kernel's #VE handler routes to the VMM, each with a `ret` behind it.
#![expect(unsafe_code, reason = "single instructions")]

use core::arch::naked_asm;

use abi::Gpr::{self, R11, R12, R13, R14, R15};
use abi::{Regs, poison};

use super::harness::Target;

/// An instruction.
pub(crate) struct Instruction {
    pub name: &'static str,
    pub target: Target,
    /// What it takes from which register; RDI holds the device's address anyway.
    pub inputs: &'static [(Gpr, u64)],
    /// Writes its results, from those of the VMM's answer, as the manual says.
    pub results: fn(&mut Regs, &dyn Fn(Gpr) -> u64),
}

// SAFETY: the addresses of code.
unsafe impl Sync for Instruction {}

/// COM1's scratch register.
const SCRATCH: u64 = 0x3FF;
/// IA32_APIC_BASE, and the x2APIC timer's divider.
const APIC_BASE: u64 = 0x1B;
const DIVIDER: u64 = 0x83E;
const HYPERVISOR: u64 = 0x4000_0000;

macro_rules! instructions {
    ($($name:ident [$($gpr:ident = $value:expr),*], $code:literal => $results:expr;)*) => {
        $(
            #[unsafe(naked)]
            extern "sysv64" fn $name() {
                naked_asm!($code, "ret");
            }
        )*

        /// All of them. The first touch of the device is by the first that names it.
        pub(crate) static INSTRUCTIONS: &[Instruction] = &[$(Instruction {
            name: $code,
            target: $name as Target,
            inputs: &[$((Gpr::$gpr, $value)),*],
            results: $results,
        }),*];
    };
}

instructions! {
    load_32 [], "mov eax, [rdi]" => |regs, of| regs.rax = of(R11) & 0xFFFF_FFFF;
    store_32 [], "mov [rdi], eax" => none;
    load_8 [], "mov r9b, [rdi]" => |regs, of| replace(&mut regs.r9, 0xFF, of(R11));
    load_16 [], "mov bx, [rdi]" => |regs, of| replace(&mut regs.rbx, 0xFFFF, of(R11));
    load_64 [], "mov rbp, [rdi]" => |regs, of| regs.rbp = of(R11);
    extend [], "movzx r15, byte ptr [rdi]" => |regs, of| regs.r15 = of(R11) & 0xFF;
    sign [], "movsx r14, word ptr [rdi]" =>
        |regs, of| regs.r14 = i64::from(of(R11) as i16).cast_unsigned();
    add [], "add r10d, [rdi]" => |regs, of| {
        regs.r10 = u64::from((regs.r10 as u32).wrapping_add(of(R11) as u32));
    };
    store_8 [], "mov [rdi], r12b" => none;
    store_64 [], "mov [rdi], r13" => none;
    in_8 [Rdx = SCRATCH], "in al, dx" => |regs, of| replace(&mut regs.rax, 0xFF, of(R11));
    in_16 [Rdx = SCRATCH], "in ax, dx" => |regs, of| replace(&mut regs.rax, 0xFFFF, of(R11));
    in_32 [Rdx = SCRATCH], "in eax, dx" => |regs, of| regs.rax = of(R11) & 0xFFFF_FFFF;
    in_immediate [], "in al, 0x80" => |regs, of| replace(&mut regs.rax, 0xFF, of(R11));
    out_8 [Rdx = SCRATCH], "out dx, al" => none;
    out_16 [Rdx = SCRATCH], "out dx, ax" => none;
    out_32 [Rdx = SCRATCH], "out dx, eax" => none;
    out_immediate [], "out 0x80, al" => none;
    cpuid [Rax = HYPERVISOR, Rcx = 0], "cpuid" => |regs, of| {
        [regs.rax, regs.rbx] = [of(R12) & 0xFFFF_FFFF, of(R13) & 0xFFFF_FFFF];
        [regs.rcx, regs.rdx] = [of(R14) & 0xFFFF_FFFF, of(R15) & 0xFFFF_FFFF];
    };
    rdmsr [Rcx = APIC_BASE], "rdmsr" =>
        |regs, of| [regs.rax, regs.rdx] = [of(R11) & 0xFFFF_FFFF, of(R11) >> 32];
    wrmsr [Rcx = DIVIDER], "wrmsr" => none;
    hlt [], "hlt" => none;
}

fn none(_: &mut Regs, _: &dyn Fn(Gpr) -> u64) {}

/// A register that is not written whole.
fn replace(register: &mut u64, bits: u64, value: u64) {
    *register = *register & !bits | value & bits;
}

impl Instruction {
    /// The registers behind the instruction, from those before it and the seed of the answer.
    pub(crate) fn expected(&self, before: &Regs, seed: u64) -> Regs {
        let mut regs = *before;
        (self.results)(&mut regs, &|gpr| poison::result(seed, gpr));
        regs
    }
}
