//! Registers: a routed instruction leaves all of them but its result's alone, XMM included;
//! and a call gives back, and shows to nobody, those that it does not name.
#![expect(unsafe_code, reason = "IN and a call between patterns in registers")]

use core::arch::asm;

use abi::attributes::ConfigFlags;
use abi::field::td;
use abi::ghci::function;
use abi::leaf::tdg;
use abi::{GhciStatus, Gpr, Regs, Status};
use tdcall::guest::{self, Leaf};

use super::step::Steps;
use crate::counts;

/// POST codes.
const POST: u16 = 0x80;
/// What register *n* holds: the pattern plus *n*.
const PATTERN: u64 = 0x5EED_0000_0000_0100;

/// Registers that a call with the mask [`SHOWN`] keeps from the host.
const HIDDEN: [Gpr; 10] = [
    Gpr::Rdx,
    Gpr::Rbx,
    Gpr::Rsi,
    Gpr::Rdi,
    Gpr::R8,
    Gpr::R9,
    Gpr::R12,
    Gpr::R13,
    Gpr::R14,
    Gpr::R15,
];
/// R10 and R11: the function.
const SHOWN: u64 = Gpr::R10.bit() | Gpr::R11.bit();

/// What belongs to the program stays.
pub(super) fn hygiene(steps: &mut Steps) {
    exception(steps);
    call(steps);
}

/// GetTdVmCallInfo with too small a mask. R12 is its argument and holds no legal one, so the
/// host's success says that it saw a zero there.
fn call(steps: &mut Steps) {
    let (r11, rcx) = (function::GET_TD_VMCALL_INFO, SHOWN);
    let mut regs = Regs { r11, rcx, ..Regs::default() };
    for (gpr, value) in HIDDEN.into_iter().zip(PATTERN..) {
        regs[gpr] = value;
    }
    counts::vmcall(function::GET_TD_VMCALL_INFO);
    // SAFETY: the function changes no memory.
    let status = unsafe { guest::call(Leaf::new(tdg::VP_VMCALL as u16, 0), &mut regs) };
    steps.equal("TDG.VP.VMCALL", status.0, Status::SUCCESS.0);
    steps.equal("the host's answer", regs.r10, GhciStatus::SUCCESS.0);
    let hidden = HIDDEN.into_iter().zip(PATTERN..);
    let changed = hidden.filter(|(gpr, value)| regs[*gpr] != *value).count();
    steps.equal("registers not shown that the call changed", changed as u64, 0);
    steps.equal("RCX", regs.rcx, SHOWN);
}

/// R8, RBX, RCX, RSI, R9-R15, RBP and XMM7 hold what they held before.
fn exception(steps: &mut Steps) {
    let mut after = [0_u64; 13];
    // SAFETY: reading the port has no effect. All registers are saved or declared; the
    // patterns go into `after` alone.
    unsafe {
        asm!(
            "push rbx", "push rbp",
            "movq xmm7, r8",
            "lea rbx, [r8 + 1]", "lea rcx, [r8 + 2]", "lea rsi, [r8 + 3]", "lea r9, [r8 + 4]",
            "lea r10, [r8 + 5]", "lea r11, [r8 + 6]", "lea r12, [r8 + 7]", "lea r13, [r8 + 8]",
            "lea r14, [r8 + 9]", "lea r15, [r8 + 10]", "lea rbp, [r8 + 11]",
            "in al, dx",
            "mov [rdi], r8", "mov [rdi + 8], rbx", "mov [rdi + 16], rcx", "mov [rdi + 24], rsi",
            "mov [rdi + 32], r9", "mov [rdi + 40], r10", "mov [rdi + 48], r11",
            "mov [rdi + 56], r12", "mov [rdi + 64], r13", "mov [rdi + 72], r14",
            "mov [rdi + 80], r15", "mov [rdi + 88], rbp", "movq [rdi + 96], xmm7",
            "pop rbp", "pop rbx",
            inout("r8") PATTERN => _, in("rdi") after.as_mut_ptr(), inout("dx") POST => _,
            out("al") _, out("rcx") _, out("rsi") _, out("r9") _, out("r10") _, out("r11") _,
            out("r12") _, out("r13") _, out("r14") _, out("r15") _, out("xmm7") _,
        );
    }
    let [general @ .., xmm] = after;
    let changed = (0_u64..).zip(general).filter(|(n, value)| *value != PATTERN + n).count();
    steps.equal("general-purpose registers that IN changed", changed as u64, 0);
    steps.equal("XMM7", xmm, PATTERN);
}

/// The TD is built so that the host can not have RBP.
pub(super) fn rbp(steps: &mut Steps) {
    counts::tdcall(tdg::VM_RD);
    match guest::vm_rd(td::CONFIG_FLAGS) {
        Ok(flags) => {
            let no_rbp_mod = ConfigFlags::NO_RBP_MOD.bits();
            steps.equal("NO_RBP_MOD in CONFIG_FLAGS", flags & no_rbp_mod, no_rbp_mod);
        }
        Err(_) => steps.skip("this module does not show CONFIG_FLAGS"),
    }
}
