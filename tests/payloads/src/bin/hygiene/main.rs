//! Register hygiene, seen from inside: no register keeps what a hostile VMM put there.
//!
//! Runs under a VMM with `registers=poison`, whose answers it chooses ([`abi::poison`]). A round
//! is one answer; in each, every function of [`calls`] and every instruction of
//! [`instructions`] is called by the [`harness`] with a pattern in all registers that are no
//! arguments.
//!
//! | behind | must hold |
//! |---|---|
//! | a function | RBX, RBP, RSP, R12-R15: what they held |
//! | | XMM0-15: the same, if neither call nor wrapper has a use for them |
//! | | every register: no piece of poison |
//! | | what it returned: the answer, cut to the bits asked for |
//! | an instruction | every register: what it held, or the instruction's result |
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "calls the harness")]

mod calls;
mod harness;
mod instructions;
mod judge;

use core::fmt;

use abi::{GhciStatus, Gpa, GpaRange, RegisterFile, SharedGpa};
use kernel::{Kernel, Verdict, println};
use tdcall::ghci::NotifyVector;

use calls::{Answer, FUNCTIONS, Function, Inputs, Kind};
use instructions::{INSTRUCTIONS, Instruction};
use judge::Judge;

kernel::main!(hygiene);

const IOAPIC: u64 = 0xFEC0_0000;
/// A page of the devices' range without a device.
const NOTHING: u64 = 0xFED8_0000;
const SEED: u64 = 0x5EED_4321_1234_8765;

/// What the VMM answers.
#[derive(Clone, Copy)]
enum Round {
    /// This status, and results made of this seed.
    Scripted(GhciStatus, u64),
    /// What it answers by itself.
    Served,
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scripted(status, _) => write!(f, "{status}"),
            Self::Served => f.write_str("served"),
        }
    }
}

impl Round {
    fn suits(self, kind: Kind) -> bool {
        match self {
            Self::Scripted(..) => kind != Kind::Vendor,
            Self::Served => matches!(kind, Kind::Ordinary | Kind::Vendor),
        }
    }
}

fn hygiene(kernel: &mut Kernel) -> Verdict {
    if let Err(error) = calls::script(0, 0) {
        println!("FAIL the VMM takes no script: {error}");
        return Verdict::CheckFailed;
    }
    let device = kernel.memory.map_device(IOAPIC);
    let width = kernel.vp.gpa_width().unwrap_or(abi::GpaWidth::Bits48);
    let Ok(nothing) = SharedGpa::try_new(NOTHING, width) else { return Verdict::CheckFailed };
    let range = GpaRange::try_new(Gpa::Shared(nothing), 0x1000, width);
    let (Ok(range), Some(vector)) = (range, NotifyVector::try_new(0x50)) else {
        return Verdict::CheckFailed;
    };
    let text = *b"r14 text|r15 text|rbx text|rdi text|rsi text|r8 text|r9 text|rdx";
    let inputs = Inputs { device: device.gpa, range, vector, text };
    // Where MapGPA may go on is a result as any other, so this seed makes it the start.
    let from_start = nothing.bits() - abi::Gpr::R11 as u64;
    let rounds = [
        Round::Scripted(GhciStatus::SUCCESS, SEED),
        Round::Scripted(GhciStatus::INVALID_OPERAND, SEED),
        Round::Scripted(GhciStatus::RETRY, from_start),
        Round::Served,
    ];
    let mut judge = Judge::new();
    for instruction in INSTRUCTIONS {
        execute(&mut judge, instruction, device.register(0));
    }
    for function in FUNCTIONS {
        for round in rounds.into_iter().filter(|round| round.suits(function.kind)) {
            call(&mut judge, function, round, &inputs);
        }
    }
    judge.verdict()
}

fn call(judge: &mut Judge, function: &Function, round: Round, inputs: &Inputs) {
    let mut answer = Answer::default();
    let mut before = judge::pattern();
    before.gprs.rdi = (&raw const *inputs).expose_provenance() as u64;
    before.gprs.rsi = (&raw mut answer).expose_provenance() as u64;
    if let Round::Scripted(status, seed) = round
        && let Err(error) = calls::script(status.0, seed)
    {
        judge.fail(function.name, format_args!("no script: {error}"));
        return;
    }
    // SAFETY: a wrapper with its two arguments.
    let after = unsafe { harness::call(function.wrapper as harness::Target, &mut before) };
    judge.function((function, round), (&before, &after), &answer);
}

fn execute(judge: &mut Judge, instruction: &Instruction, device: *mut u32) {
    let mut before = judge::pattern();
    before.gprs.rdi = device.expose_provenance() as u64;
    for (gpr, value) in instruction.inputs {
        before.gprs[*gpr] = *value;
    }
    if let Err(error) = calls::script(0, SEED) {
        judge.fail(instruction.name, format_args!("no script: {error}"));
        return;
    }
    // SAFETY: the instruction does to devices what the VMM was told to answer: nothing. It
    // changes the registers of its results alone, which its caller does not need.
    let after = unsafe { harness::call(instruction.target, &mut before) };
    let expected = RegisterFile { gprs: instruction.expected(&before.gprs, SEED), ..before };
    judge.instruction(instruction, &expected, &after);
}
