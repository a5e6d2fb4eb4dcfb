//! Runs a subject and counts its rows.

use std::path::Path;

use abi::Regs;
use anyhow::{Context, Result, bail, ensure};

use crate::ptrace::{Registers, Stop, Tracee};
use crate::seam::{Ending, Instruction, Seam};

const CARRY: u64 = 1;
/// Instructions between a mark and its call, and of a call: more is a mistake.
const LIMIT: u64 = 1_000_000;

/// A call of the two instructions.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Which.
    pub instruction: Instruction,
    /// The registers before it.
    pub regs: Regs,
}

/// A row of a subject.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Instructions from call to return.
    pub instructions: u64,
    /// The calls that it made.
    pub calls: Vec<Call>,
    /// The registers at the function's first instruction.
    pub entry: Regs,
    /// The registers behind its return.
    pub exit: Regs,
}

/// What a subject did.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its rows, in their order.
    pub rows: Vec<Row>,
    /// What it printed: `<row>: <result>`, line by line.
    pub output: String,
}

impl Run {
    /// The row of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn row(&self, name: &str) -> Result<&Row> {
        let row = self.rows.iter().find(|row| row.name == name);
        row.with_context(|| format!("the subject has no row {name}"))
    }

    /// The result that the row of this name printed.
    #[must_use]
    pub fn result(&self, name: &str) -> Option<&str> {
        let mut lines = self.output.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(row, _)| *row == name).map(|(_, result)| result)
    }
}

/// Runs `subject` with `seam` on the other side of its calls. Registers that a function has
/// to keep hold other values than the subject's own during each row: those of `secrets`.
///
/// # Errors
/// The subject does not do what a subject does.
pub fn run(subject: &Path, seam: &mut dyn Seam, secrets: &Secrets) -> Result<Run> {
    let tracee = Tracee::start(subject)?;
    let mut rows = Vec::new();
    loop {
        match tracee.go_on()? {
            Stop::Exited(0) => return Ok(Run { rows, output: tracee.output()? }),
            Stop::Exited(code) => bail!("the subject ended with {code}"),
            Stop::Signal(libc::SIGTRAP) => rows.push(row(&tracee, seam, secrets)?),
            // A call outside a row: the CPU knows the instruction as little as we do.
            Stop::Signal(signal) => {
                let call = answer(&tracee, seam)?;
                ensure!(call.is_some(), "the subject got signal {signal}");
            }
        }
    }
}

/// What the caller of a counted function has in the registers that the function must keep:
/// RBX, RBP, R12-R15.
#[derive(Clone, Copy, Debug)]
pub struct Secrets(pub [u64; 6]);

impl Secrets {
    /// Takes the registers that a function keeps.
    #[must_use]
    pub fn of(regs: &Regs) -> Self {
        Self([regs.rbx, regs.rbp, regs.r12, regs.r13, regs.r14, regs.r15])
    }

    fn put(&self, regs: &mut Regs) {
        [regs.rbx, regs.rbp, regs.r12, regs.r13, regs.r14, regs.r15] = self.0;
    }
}

/// Counts the row that a mark announces.
fn row(tracee: &Tracee, seam: &mut dyn Seam, secrets: &Secrets) -> Result<Row> {
    let mark = tracee.registers()?.gprs;
    let name = text(tracee, mark.rdi, mark.rsi)?;
    let mut at_entry = seek(tracee, mark.rdx).with_context(|| format!("row {name}"))?;
    let back = u64::from_ne_bytes(tracee.peek(at_entry.gprs.rsp)?);
    let own = Secrets::of(&at_entry.gprs);
    secrets.put(&mut at_entry.gprs);
    tracee.set_registers(&at_entry)?;

    let mut instructions = 1; // the CALL
    let mut calls = Vec::new();
    let mut now = at_entry;
    while (now.rip, now.gprs.rsp) != (back, at_entry.gprs.rsp + 8) {
        ensure!(instructions < LIMIT, "row {name} does not return");
        match answer(tracee, seam)? {
            Some(call) => calls.push(call),
            None => tracee.step()?,
        }
        instructions += 1;
        now = tracee.registers()?;
    }
    let exit = now.gprs;
    own.put(&mut now.gprs);
    tracee.set_registers(&now)?;
    Ok(Row { name, instructions, calls, entry: at_entry.gprs, exit })
}

/// Steps to the first instruction of a function.
fn seek(tracee: &Tracee, function: u64) -> Result<Registers> {
    for _ in 0..LIMIT {
        let registers = tracee.registers()?;
        if registers.rip == function {
            return Ok(registers);
        }
        tracee.step()?;
    }
    bail!("the function at {function:#x} is not called")
}

/// If the next instruction is one of the two, does its work and says what it was.
fn answer(tracee: &Tracee, seam: &mut dyn Seam) -> Result<Option<Call>> {
    let mut registers = tracee.registers()?;
    let Some(instruction) = Instruction::decode(&tracee.peek(registers.rip)?) else {
        return Ok(None);
    };
    let call = Call { instruction, regs: registers.gprs };
    let behind = registers.rip + Instruction::LENGTH;
    registers.rflags &= !CARRY;
    let ending = match instruction {
        Instruction::Tdcall => {
            seam.tdcall(&mut registers.gprs);
            Ending::Done
        }
        Instruction::Seamcall => seam.seamcall(&mut registers.gprs),
    };
    registers.rip = behind;
    match ending {
        Ending::Done => {}
        Ending::Invalid => {
            registers.gprs = call.regs;
            registers.rflags |= CARRY;
        }
        Ending::Fault(vector) => {
            registers.gprs = call.regs;
            registers.gprs.rax = abi::Status::SOFTWARE_ERROR | u64::from(vector);
            registers.rip = landing(tracee, behind)?;
        }
    }
    tracee.set_registers(&registers)?;
    Ok(Some(call))
}

/// Where the exception table leads a SEAMCALL: to where `jnc` behind it jumps. (The linker
/// leaves the table out of a program without a trap handler.)
fn landing(tracee: &Tracee, behind: u64) -> Result<u64> {
    match tracee.peek(behind)? {
        [0x73, offset, ..] => Ok((behind + 2).wrapping_add_signed(i64::from(offset.cast_signed()))),
        _ => bail!("no jnc behind the SEAMCALL"),
    }
}

/// A string of the subject.
fn text(tracee: &Tracee, address: u64, bytes: u64) -> Result<String> {
    ensure!(bytes < 100, "a mark without a name");
    let mut text = Vec::new();
    for offset in (0..bytes).step_by(8) {
        text.extend(tracee.peek(address + offset)?);
    }
    text.truncate(usize::try_from(bytes)?);
    Ok(String::from_utf8(text)?)
}
