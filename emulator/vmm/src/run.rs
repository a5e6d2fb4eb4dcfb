//! The run loop: TDH.VP.ENTER until the TD ends, and what is done about each exit.
//! [ABI-H 5.7, 5.8]

use core::fmt;

use abi::exit::TdExitStatus;
use abi::{ExitReason, Regs, Status};

use crate::end::{Death, End, Hang};
use crate::failure::Failure;
use crate::features::Features;
use crate::idle::Watchdog;
use crate::registers::Registers;
use crate::td::{Td, Vcpu, Vmm};
use crate::{fault, interrupts, vmcall};

/// Identical faults in a row that are taken for progress. KVM needs one entry for each; a
/// few more come when interrupts arrive between.
const SAME_FAULTS: u32 = 32;
/// Entries in a row that may find something locked.
const BUSY_ENTRIES: u32 = 1000;
/// R9: the interruption information is valid. [ABI-H 5.5]
const INTERRUPTION_VALID: u64 = 1 << 31;

/// Runs the vCPU to its end.
pub fn run(
    vmm: &mut Vmm<'_>,
    td: &mut Td,
    vcpu: &mut Vcpu,
    watchdog: Watchdog,
    exits: &mut Exits,
    registers: &mut Registers,
) -> End {
    let mut progress = Progress::default();
    loop {
        interrupts::before_entry(vmm, vcpu);
        registers.before_entry();
        let exit = enter(vmm, vcpu, registers);
        registers.after_exit(exit);
        exits.count(exit);
        let went_on = progress
            .check(exit, &registers.file.gprs)
            .and_then(|()| handle(vmm, td, vcpu, watchdog, (exit, registers)));
        if let Err(end) = went_on {
            return end;
        }
    }
}

/// TDH.VP.ENTER, again while something that it needs is locked: another processor tracks TLBs
/// or works on the secure EPT. KVM goes on for ever. A failed entry changes no register but
/// RAX. [ABI-H 5.2]
fn enter(vmm: &mut Vmm<'_>, vcpu: &Vcpu, registers: &mut Registers) -> TdExitStatus {
    let mut again = || vmm.module.vp_enter(vcpu.tdvpr, &mut registers.file);
    for _ in 1..BUSY_ENTRIES {
        let exit = again();
        if !exit.class().is(Status::OPERAND_BUSY) {
            return exit;
        }
    }
    again()
}

/// Handles one exit.
fn handle(
    vmm: &mut Vmm<'_>,
    td: &mut Td,
    vcpu: &mut Vcpu,
    watchdog: Watchdog,
    (exit, registers): (TdExitStatus, &mut Registers),
) -> Result<(), End> {
    if !exit.entered() {
        return Err(Failure::module("TDH.VP.ENTER")(Status(exit.0)).into());
    }
    if exit.class() == Status::CROSS_TD_TRAP && vcpu.features.contains(Features::CROSS_TD) {
        return Ok(());
    }
    if exit.class().0 != 0 {
        return Err(Death::Exit(exit).into());
    }
    if exit.reason() == ExitReason::TDCALL && registers.answer() {
        return Ok(());
    }
    let regs = &mut registers.file.gprs;
    match exit.reason() {
        ExitReason::TDCALL => vmcall::serve(vmm, td, vcpu, watchdog, regs),
        ExitReason::EXTERNAL_INTERRUPT => {
            if regs.r9 & INTERRUPTION_VALID != 0 {
                vmm.cpu.interrupt(regs.r9 as u8);
            }
            watchdog.check(vmm.cpu)
        }
        ExitReason::NMI => Ok(()),
        ExitReason::EPT_VIOLATION => fault::handle(vmm, td, vcpu, regs),
        ExitReason::EPT_MISCONFIGURATION => Err(Death::Misconfiguration(regs.r8).into()),
        _ => Err(Death::Exit(exit).into()),
    }
}

/// Notices a TD that takes the same fault for ever.
#[derive(Debug, Default)]
struct Progress {
    last: Option<(u64, u64, u64)>,
    repeats: u32,
}

impl Progress {
    fn check(&mut self, exit: TdExitStatus, regs: &Regs) -> Result<(), End> {
        if exit.reason() == ExitReason::EXTERNAL_INTERRUPT {
            return Ok(());
        }
        let fault = (regs.r8, regs.rcx, regs.rdx);
        let is_fault = exit.entered() && exit.reason() == ExitReason::EPT_VIOLATION;
        let is_same = is_fault && self.last == Some(fault);
        self.repeats = if is_same { self.repeats + 1 } else { 0 };
        self.last = is_fault.then_some(fault);
        if self.repeats >= SAME_FAULTS {
            return Err(End::Hung(Hang::NoProgress { gpa: regs.r8 }));
        }
        Ok(())
    }
}

/// Basic exit reasons that are counted apart.
const REASONS: usize = 80;

/// How often the TD exited, by reason. Prints as `12 (by reason: 1=2 48=3 77=7)`.
#[derive(Clone, Debug)]
pub struct Exits {
    by_reason: [u64; REASONS],
    other: u64,
}

impl Exits {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { by_reason: [0; REASONS], other: 0 }
    }

    /// How many in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_reason.iter().sum::<u64>() + self.other
    }

    fn count(&mut self, exit: TdExitStatus) {
        if exit.entered() {
            let slot = self.by_reason.get_mut(usize::from(exit.reason().0));
            *slot.unwrap_or(&mut self.other) += 1;
        }
    }
}

impl Default for Exits {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Exits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (by reason:", self.total())?;
        for (reason, count) in self.by_reason.iter().enumerate().filter(|(_, count)| **count != 0) {
            write!(f, " {reason}={count}")?;
        }
        if self.other != 0 {
            write!(f, " other={}", self.other)?;
        }
        f.write_str(")")
    }
}
