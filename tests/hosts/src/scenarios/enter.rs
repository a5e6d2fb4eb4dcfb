//! A TD that runs: the first VMCALL, commands, exits.

use abi::Gpr;
use abi::leaf::tdh;
use conformance::Value::{self, At, Is};

use super::build::INITIAL_RCX;
use crate::bare::apic;
use crate::place::Place::{self, Tdvpr};
use crate::run::{Row, Run, What};
use crate::tables::enter::{Command, Exit, exit};

const VECTOR: u8 = 0x51;
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
    const EXTERNAL: u64 = 1 << 31;
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
