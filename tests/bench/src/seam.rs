//! What is on the other side of the two instructions: module and VMM, played by the tracer.

use abi::exit::VmcallMask;
use abi::ghci::function;
use abi::leaf::tdg;
use abi::{Gpr, Operand, Regs, Status};

/// The instruction of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// TDCALL.
    Tdcall,
    /// SEAMCALL.
    Seamcall,
}

impl Instruction {
    /// From the bytes at RIP. [ABI-H 1.1]
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x66, 0x0F, 0x01, 0xCC, ..] => Some(Self::Tdcall),
            [0x66, 0x0F, 0x01, 0xCF, ..] => Some(Self::Seamcall),
            _ => None,
        }
    }

    /// Bytes of the instruction.
    pub const LENGTH: u64 = 4;
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Behind the instruction, CF = 0.
    Done,
    /// VMfailInvalid: CF = 1, registers unchanged.
    Invalid,
    /// The instruction raised this exception; the handler goes on at the landing.
    Fault(u8),
}

/// Answers calls by changing registers as the real ones would.
pub trait Seam {
    /// A TDCALL: RAX is leaf, then status.
    fn tdcall(&mut self, regs: &mut Regs);

    /// A SEAMCALL: the same.
    fn seamcall(&mut self, _regs: &mut Regs) -> Ending {
        Ending::Invalid
    }
}

/// TDG.VP.VMCALL by the rules of the module: a mask that is not legal is refused; `vmm` sees
/// the exposed registers, the others as zero, and what it changes of them comes back.
/// [ABI-G 4]
pub fn vmcall(regs: &mut Regs, vmm: impl FnOnce(&mut Regs)) {
    let mask = VmcallMask(regs.rcx as u32);
    let illegal = u64::from(!VmcallMask::GPR_ALLOWED) | Gpr::Rbp.bit();
    if regs.rcx & illegal != 0 || regs.rcx >> 32 != 0 {
        regs.rax = Status::OPERAND_INVALID.with_operand(Operand::Rcx).0;
        return;
    }
    let mut seen = mask.expose(regs);
    vmm(&mut seen);
    for gpr in Gpr::ALL.into_iter().filter(|gpr| mask.has(*gpr)) {
        regs[gpr] = seen[gpr];
    }
    regs.rax = 0;
}

/// A module and a VMM that do what is asked.
#[derive(Clone, Copy, Debug)]
pub struct Obliging;

impl Seam for Obliging {
    fn tdcall(&mut self, regs: &mut Regs) {
        match regs.rax {
            tdg::VP_VMCALL => vmcall(regs, answer),
            tdg::VP_INFO => {
                (regs.rcx, regs.rdx, regs.r8) = (48, 1 << 28, 1 << 32 | 1);
                (regs.rax, regs.r9, regs.r10, regs.r11) = (0, 0, 1, 0);
            }
            tdg::VP_VEINFO_GET => {
                (regs.rcx, regs.rdx, regs.r8, regs.r9) = (30, 0x03F8_0000, 0, 0);
                (regs.rax, regs.r10) = (0, 1);
            }
            tdg::MEM_PAGE_ACCEPT => regs.rax = 0,
            _ => regs.rax = Status::OPERAND_INVALID.0,
        }
    }
}

/// The VMM's part. [TDVF 4.4]
fn answer(regs: &mut Regs) {
    regs.r10 = 0;
    match regs.r11 {
        function::CPUID => {
            (regs.r12, regs.r13) = (0x4000_0001, 0x4B4D_564B);
            (regs.r14, regs.r15) = (0x564B_4D56, 0x4D);
        }
        function::IO | function::RDMSR | function::MMIO => regs.r11 = 0x55,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vmm_changes_what_is_exposed_and_nothing_else() {
        let mut regs = Regs { rcx: 0x0C00, r9: 9, r10: 10, r12: 12, ..Regs::default() };
        vmcall(&mut regs, |seen| {
            assert_eq!((seen.r10, seen.r12, seen.r9), (10, 0, 0));
            (seen.r10, seen.r12, seen.r9) = (1, 2, 3);
        });
        assert_eq!((regs.rax, regs.r10, regs.r12, regs.r9), (0, 1, 12, 9));
    }

    #[test]
    fn a_mask_with_rbp_or_more_is_refused() {
        for rcx in [1, 2, 1 << 4, 1 << 5, 1 << 32] {
            let mut regs = Regs { rcx, ..Regs::default() };
            vmcall(&mut regs, |_| panic!("the VMM was asked"));
            assert_eq!(regs.rax, 0xC000_0100_0000_0001);
        }
    }
}
