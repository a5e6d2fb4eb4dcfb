//! The judge: what the registers must hold, line by line on the console.

use core::fmt;

use abi::{GhciStatus, Gpr, RegisterFile, poison};
use kernel::{Verdict, println};

use super::Round;
use super::calls::{Answer, Ending, Function, Kind, POISONED};
use super::instructions::Instruction;

/// Registers that a function of the C ABI keeps. [System V ABI 3.2.1]
const KEPT: [Gpr; 7] = [Gpr::Rbx, Gpr::Rsp, Gpr::Rbp, Gpr::R12, Gpr::R13, Gpr::R14, Gpr::R15];

/// Another value in every register, poison in none.
pub(crate) fn pattern() -> RegisterFile {
    const SECRET: u64 = 0x5EC2_E700_0000_0000;
    let mut file = RegisterFile::default();
    for gpr in Gpr::ALL {
        file.gprs[gpr] = SECRET | 0x0101_0100 | gpr as u64;
    }
    for (number, value) in (0_u64..).zip(&mut file.xmm) {
        *value = u128::from(SECRET | 0xA000 | number) << 64 | u128::from(SECRET | 0xB000 | number);
    }
    file
}

/// What was judged so far.
pub(crate) struct Judge {
    checks: u32,
    failed: u32,
}

impl Judge {
    pub(crate) const fn new() -> Self {
        Self { checks: 0, failed: 0 }
    }

    /// Prints the sum.
    pub(crate) fn verdict(&self) -> Verdict {
        println!("hygiene: {} of {} checks passed", self.checks - self.failed, self.checks);
        if self.failed == 0 { Verdict::Passed } else { Verdict::CheckFailed }
    }

    /// A check that could not be made, or what is wrong.
    pub(crate) fn fail(&mut self, what: &str, why: fmt::Arguments<'_>) {
        println!("FAIL {what}: {why}");
        self.checks += 1;
        self.failed += 1;
    }

    /// A function came back.
    pub(crate) fn function(
        &mut self,
        (function, round): (&Function, Round),
        (before, after): (&RegisterFile, &RegisterFile),
        answer: &Answer,
    ) {
        let Function { name, .. } = function;
        let failed = self.failed;
        for gpr in KEPT.into_iter().filter(|gpr| before.gprs[*gpr] != after.gprs[*gpr]) {
            let (was, is) = (before.gprs[gpr], after.gprs[gpr]);
            self.fail(name, format_args!("{round}: {gpr:?} was {was:#x} and is {is:#x}"));
        }
        // Where every register is asked for, the caller's own code moves the answers about.
        let is_asked_for = function.kind == Kind::Vendor;
        let holds_poison = |gpr: &Gpr| !is_asked_for && poison::is_in(after.gprs[*gpr]);
        for gpr in Gpr::ALL.into_iter().filter(holds_poison) {
            let is = after.gprs[gpr];
            self.fail(name, format_args!("{round}: {gpr:?} holds poison: {is:#x}"));
        }
        if function.keeps_xmm() {
            self.xmm(name, before, after);
        }
        for (number, value) in after.xmm.iter().enumerate() {
            if poison::is_in(*value as u64) || poison::is_in((value >> 64) as u64) {
                self.fail(name, format_args!("{round}: XMM{number} holds poison: {value:#x}"));
            }
        }
        self.result(function, round, answer);
        if failed == self.failed {
            self.pass(name, format_args!("{round}"));
        }
    }

    /// What the function returned is the answer.
    fn result(&mut self, function: &Function, round: Round, answer: &Answer) {
        let Round::Scripted(status, seed) = round else {
            if function.kind == Kind::Vendor && answer.values[0] != POISONED {
                self.fail(function.name, format_args!("no poison: {answer:x?}"));
            }
            return;
        };
        // MapGPA goes on by itself; the script is for its first call alone.
        let goes_on = function.name == "map_gpa" && status == GhciStatus::RETRY;
        if goes_on {
            return;
        }
        let ending = match status {
            GhciStatus::SUCCESS => Ending::Done,
            other => Ending::Vmm(other.0),
        };
        let mut values = [0; 4];
        if ending == Ending::Done {
            for (value, (gpr, bits)) in values.iter_mut().zip(function.results) {
                *value = poison::result(seed, *gpr) & bits;
            }
        }
        if (answer.ending, answer.values) != (ending, values) {
            let wanted = Answer { ending, values };
            self.fail(function.name, format_args!("{round}: {answer:x?}, not {wanted:x?}"));
        }
    }

    /// An instruction is done.
    pub(crate) fn instruction(
        &mut self,
        instruction: &Instruction,
        expected: &RegisterFile,
        after: &RegisterFile,
    ) {
        let Instruction { name, .. } = instruction;
        let failed = self.failed;
        for gpr in Gpr::ALL.into_iter().filter(|gpr| expected.gprs[*gpr] != after.gprs[*gpr]) {
            let (wanted, is) = (expected.gprs[gpr], after.gprs[gpr]);
            self.fail(name, format_args!("{gpr:?} is {is:#x}, not {wanted:#x}"));
        }
        self.xmm(name, expected, after);
        if failed == self.failed {
            self.pass(name, format_args!("instruction"));
        }
    }

    fn xmm(&mut self, name: &str, expected: &RegisterFile, after: &RegisterFile) {
        for (number, (wanted, is)) in expected.xmm.iter().zip(&after.xmm).enumerate() {
            if wanted != is {
                self.fail(name, format_args!("XMM{number} is {is:#x}, not {wanted:#x}"));
            }
        }
    }

    fn pass(&mut self, what: &str, round: fmt::Arguments<'_>) {
        self.checks += 1;
        println!("ok   {what}: {round}");
    }
}
