//! Registers over a routed instruction: the #VE handler and the host leave all of them but
//! the result's alone, XMM included.
#![expect(unsafe_code, reason = "IN between patterns in registers")]

use core::arch::asm;

use abi::attributes::ConfigFlags;
use abi::field::td;
use abi::leaf::tdg;
use tdcall::guest;

use super::step::Steps;
use crate::counts;

/// POST codes.
const POST: u16 = 0x80;
/// What register *n* holds: the pattern plus *n*.
const PATTERN: u64 = 0x5EED_0000_0000_0100;

/// R8, RBX, RCX, RSI, R9-R15, RBP and XMM7 hold what they held before.
pub(super) fn hygiene(steps: &mut Steps) {
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
