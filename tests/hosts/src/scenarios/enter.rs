//! A TD that runs: the first VMCALL, commands, exits.
#![expect(unsafe_code, reason = "VP.ENTER, and a look at RBP")]

use core::arch::asm;

use abi::exit::TdExitStatus;
use abi::leaf::tdh;
use abi::{Gpr, Hpa, Regs};
use conformance::Value::{self, At, Is};
use tdcall::host;

use super::build::INITIAL_RCX;
use crate::bare::apic;
use crate::place::Place::{self, Tdvpr};
use crate::run::{Row, Run, What};
use crate::tables::enter::{Command, Exit, exit};

const VECTOR: u8 = 0x51;
/// R9: an interruption, which is an external interrupt.
const EXTERNAL: u64 = 1 << 31;
/// Exposed by the first VMCALL, and by the others. [ABI-H 5.4]
const EVERYTHING: u64 = 0xFFCC;
const R10_TO_R15: u64 = 0xFC00;

/// The guest runs to its first VMCALL; it shows its initial registers. [ABI-H 3.6]
pub(super) fn first(run: &mut Run, vcpu: u8) {
    let zeros = [Gpr::Rdi, Gpr::R9, Gpr::R10, Gpr::R11, Gpr::R12, Gpr::R13, Gpr::R14, Gpr::R15];
    let mut output = [(Gpr::Rcx, Is(EVERYTHING)); 13];
    output[1] = (Gpr::Rdx, Value::Any);
    output[2] = (Gpr::Rbx, Is(48));
    output[3] = (Gpr::Rsi, Is(u64::from(vcpu)));
    output[4] = (Gpr::R8, Is(INITIAL_RCX));
    for (slot, gpr) in output[5..].iter_mut().zip(zeros) {
        *slot = (gpr, Is(0));
    }
    let regs = run.check(&Row {
        name: "a vCPU starts with its initial registers, which its VMCALL exposes",
        rax: tdh::VP_ENTER,
        source: "ABI-H 3.6, 5.4",
        input: &[(Gpr::Rcx, At(Tdvpr(vcpu)))],
        status: exit::TDCALL,
        output: &output,
    });
    let signature = u64::from(core::arch::x86_64::__cpuid(1).eax);
    let same = regs.is_some_and(|regs| regs.rdx == signature);
    let what = What(tdh::VP_ENTER, "ABI-H 3.6", "RDX was the processor's signature");
    run.report_as(&what, exit::TDCALL, same);
}

/// The guest does `command`, and R12 is `result` after it.
pub(super) fn command(run: &mut Run, name: &str, vcpu: u8, command: Command, result: u64) {
    vmcall(run, name, vcpu, command, [command[0], command[1], result]);
}

/// The guest goes on after an asynchronous exit, where it takes no register, and ends what it
/// was asked to do before.
pub(super) fn resume(run: &mut Run, name: &str, vcpu: u8, [r10, r11]: [u64; 2], result: u64) {
    vmcall(run, name, vcpu, [!r10, !r11, !result], [r10, r11, result]);
}

fn vmcall(run: &mut Run, name: &str, vcpu: u8, given: Command, [r10, r11, r12]: Command) {
    let mut output = SILENT;
    output[0] = (Gpr::Rcx, Is(R10_TO_R15));
    output[7..10].copy_from_slice(&[(Gpr::R10, Is(r10)), (Gpr::R11, Is(r11)), (Gpr::R12, Is(r12))]);
    run.check(&Row {
        name,
        rax: tdh::VP_ENTER,
        source: "ABI-H 5.3, 5.4",
        input: &with(vcpu, given),
        status: exit::TDCALL,
        output: &output[..10],
    });
}

/// A VMCALL that exposes `mask` after `command`: the registers outside are 0, those in it are
/// what the VMM gave last.
pub(super) fn expose(run: &mut Run, name: &str, vcpu: u8, command: Command, mask: u64) {
    let mut output = SILENT;
    output[0] = (Gpr::Rcx, Is(mask));
    let mut len = 1;
    for gpr in Gpr::ALL {
        let kept = matches!(gpr, Gpr::Rax | Gpr::Rcx | Gpr::Rsp | Gpr::Rbp);
        if !kept && mask & gpr.bit() == 0 {
            output[len] = (gpr, Is(0));
            len += 1;
        }
    }
    run.check(&Row {
        name,
        rax: tdh::VP_ENTER,
        source: "ABI-H 5.3, 5.4",
        input: &with(vcpu, command),
        status: exit::TDCALL,
        output: &output[..len],
    });
}

/// The guest is entered and leaves by `exit`.
pub(super) fn leave(run: &mut Run, vcpu: u8, exit: &Exit) {
    leave_with(run, vcpu, exit, 0);
}

/// An interrupt that is pending ends the run at once, and is the VMM's to handle.
pub(super) fn interrupt(run: &mut Run, vcpu: u8) {
    apic::interrupt_self(VECTOR);
    let exit = Exit {
        name: "an interrupt that was pending",
        command: [crate::guest::COUNT, 0, 1000],
        status: exit::INTERRUPT,
        rcx: 0,
        rdx: 0,
        r8: 0,
    };
    leave_with(run, vcpu, &exit, EXTERNAL | u64::from(VECTOR));
    apic::end_of_interrupt();
}

/// VP.ENTER by its typed function, with an exit of either kind; RBP is the caller's after it.
/// [ABI-H 5.6]
pub(super) fn typed(run: &mut Run, [load, at]: [u64; 2], result: u64) {
    let tdvpr = run.address(Tdvpr(0));
    let mut regs = Regs { r10: load, r11: at, ..Regs::default() };
    let (status, rbp_is_kept) = enter(tdvpr, &mut regs);
    let holds = status == TdExitStatus(exit::TDCALL.0) && regs.r12 == result && rbp_is_kept;
    let what = What(tdh::VP_ENTER, "ABI-H 5.4, 5.6", "the typed function: a VMCALL, and RBP");
    run.report_as(&what, exit::TDCALL, holds);

    apic::interrupt_self(VECTOR);
    let mut regs = Regs { r10: crate::guest::COUNT, r12: 1, ..Regs::default() };
    let (status, rbp_is_kept) = enter(tdvpr, &mut regs);
    let expected = Regs { rax: 1, r9: EXTERNAL | u64::from(VECTOR), ..Regs::default() };
    let holds = status == TdExitStatus(exit::INTERRUPT.0) && regs == expected && rbp_is_kept;
    let what = What(tdh::VP_ENTER, "ABI-H 5.5, 5.6", "the typed function: an interrupt, and RBP");
    run.report_as(&what, exit::INTERRUPT, holds);
    apic::end_of_interrupt();
    let (status, _) = enter(tdvpr, &mut regs);
    let what = What(tdh::VP_ENTER, "ABI-H 5.3", "the typed function: the guest goes on");
    run.report_as(&what, exit::TDCALL, status == TdExitStatus(exit::TDCALL.0) && regs.r12 == 0);
}

/// VP.ENTER called with a number in RBP; whether it is there afterwards.
fn enter(tdvpr: Hpa, regs: &mut Regs) -> (TdExitStatus, bool) {
    const MARK: u64 = 0x5EED_B0B5;
    extern "C" fn call(tdvpr: u64, regs: &mut Regs) -> u64 {
        let tdvpr = Hpa::try_new(tdvpr).unwrap_or(Hpa::new(0));
        // SAFETY: the TD reaches the pool alone, where no Rust object is; this program has
        // no other state that a TD exit changes.
        unsafe { host::vp_enter(tdvpr, regs) }.0
    }
    let (status, rbp): (u64, u64);
    // SAFETY: calls a function by its convention on an aligned stack; RBP is put back.
    unsafe {
        asm!(
            "push rbp", "sub rsp, 8", "mov ebp, {mark}",
            "call {call}",
            "mov rcx, rbp", "add rsp, 8", "pop rbp",
            mark = const MARK, call = sym call,
            in("rdi") tdvpr.bits(), in("rsi") &raw mut *regs,
            lateout("rax") status, lateout("rcx") rbp, clobber_abi("C"),
        );
    }
    (TdExitStatus(status), rbp == MARK)
}

fn leave_with(run: &mut Run, vcpu: u8, exit: &Exit, r9: u64) {
    let zeros = [Gpr::Rbx, Gpr::Rsi, Gpr::Rdi, Gpr::R10, Gpr::R11, Gpr::R12, Gpr::R13, Gpr::R14];
    let mut output = [(Gpr::R15, Is(0)); 13];
    output[1] = (Gpr::Rcx, Is(exit.rcx));
    output[2] = (Gpr::Rdx, Is(exit.rdx));
    output[3] = (Gpr::R8, Is(exit.r8));
    output[4] = (Gpr::R9, Is(r9));
    for (slot, gpr) in output[5..].iter_mut().zip(zeros) {
        *slot = (gpr, Is(0));
    }
    run.check(&Row {
        name: exit.name,
        rax: tdh::VP_ENTER,
        source: "ABI-H 5.5, 5.8",
        input: &with(vcpu, exit.command),
        status: exit.status,
        output: &output,
    });
}

/// Registers of a VMCALL exit: those that R10-R15 do not cover are 0.
const SILENT: [(Gpr, Value<Place>); 13] = {
    let mut output = [(Gpr::Rcx, Is(0)); 13];
    output[1] = (Gpr::Rdx, Is(0));
    output[2] = (Gpr::Rbx, Is(0));
    output[3] = (Gpr::Rsi, Is(0));
    output[4] = (Gpr::Rdi, Is(0));
    output[5] = (Gpr::R8, Is(0));
    output[6] = (Gpr::R9, Is(0));
    output
};

fn with(vcpu: u8, [r10, r11, r12]: Command) -> [(Gpr, Value<Place>); 4] {
    [(Gpr::Rcx, At(Tdvpr(vcpu))), (Gpr::R10, Is(r10)), (Gpr::R11, Is(r11)), (Gpr::R12, Is(r12))]
}
