//! The proof: each cause of #VE, raised by a real instruction and compared with what must have
//! happened. (PCONFIG alone is missing: KVM does not show it to a TD.)
//!
//! One line a check: what the router saw (instruction bytes, exit reason, qualification,
//! GPA), what it called (sub-function, RCX mask), and the instruction's result beside the
//! one expected. Then the counts, for whoever kept counts of their own.

mod cpuid;
mod heap;
mod hlt;
mod io;
mod mmio;
mod msr;
mod refused;

use core::fmt;

use abi::ExitReason;

use crate::td::{Td, Tdcall};
use crate::ve::{self, LastVe};
use crate::{Kernel, Verdict, counts, memory, print, println};

/// The last columns: sub-function, RCX mask, result and what it must be.
const HEADER: &str = "call  rcx    result             expected";

/// A pattern for registers whose upper bits must survive, or must not.
const PATTERN: u64 = 0x1122_3344_5566_7788;

/// Runs every check.
pub fn run(kernel: &mut Kernel) -> Verdict {
    let mut proof = Proof { checks: 0, passed: 0 };
    banner(kernel);
    println!("     {:<8}{:<17}exit {:<11}{:<17}{}", "cause", "code", "qual", "gpa", HEADER);
    cpuid::check(&mut proof);
    io::check(&mut proof);
    msr::check(&mut proof, &kernel.vp);
    hlt::check(&mut proof);
    refused::check(&mut proof);
    mmio::check(&mut proof, &mut kernel.memory);
    heap::check(&mut proof);
    print_counts();
    println!("proof: {} of {} checks passed", proof.passed, proof.checks);
    if proof.passed == proof.checks { Verdict::Passed } else { Verdict::CheckFailed }
}

fn banner(kernel: &Kernel) {
    let vp = &kernel.vp;
    println!(
        "tdlet: trust domain, GPA width {}, attributes {:#x}, vCPU {} of {}, {} KiB usable",
        vp.gpa_width_bits,
        vp.attributes.bits(),
        vp.vcpu_index,
        vp.num_vcpus,
        kernel.memory.usable_bytes >> 10,
    );
}

/// The kernel's counts up to and including a last VP.INFO, at which the module notes its own.
pub fn print_counts() {
    let last = Td.vp_info();
    let counts = counts::snapshot();
    if let Err(status) = last {
        println!("TDG.VP.INFO: {status}");
    }
    println!("vp_info calls: {}", counts.tdcall(abi::leaf::tdg::VP_INFO) + 1);
    println!("counts from vp_info to vp_info: {counts}");
}

/// The checks so far.
struct Proof {
    checks: u32,
    passed: u32,
}

/// What the router must have seen and done for one instruction.
struct Expected {
    cause: &'static str,
    reason: ExitReason,
    /// Compared after masking with the second number.
    qualification: (u64, u64),
    gpa: Option<u64>,
    call: Option<(u64, u64)>,
}

impl Proof {
    /// A check without an exception.
    fn note(&mut self, what: fmt::Arguments<'_>, is_right: bool) {
        self.count(is_right);
        println!("{what}");
    }

    /// Checks one routed instruction and its result.
    fn routed(&mut self, expected: &Expected, seen: &Seen, result: u64, wanted: u64) {
        let last = &seen.last;
        let Expected { reason, qualification: (bits, mask), gpa, call, .. } = *expected;
        let is_right = seen.exceptions == 1
            && last.reason == reason
            && last.qualification & mask == bits
            && gpa.is_none_or(|gpa| last.gpa == gpa)
            && last.call == call
            && result == wanted;
        self.count(is_right);
        print!("{:<8}{:<17}", expected.cause, Code(last));
        print!("{:>4} {:<#11x}", last.reason.0, last.qualification);
        match gpa {
            Some(_) => print!("{:<#17x}", last.gpa),
            None => print!("{:<17}", "-"),
        }
        match last.call {
            Some((function, mask)) => print!("{function:<#6x}{mask:<#7x}"),
            None => print!("{:<6}{:<7}", "-", "-"),
        }
        println!("{result:<#19x}{wanted:#x}");
        if !is_right {
            println!("     {} #VEs; wanted {reason}, {expected}", seen.exceptions);
        }
    }

    fn count(&mut self, is_right: bool) {
        self.checks += 1;
        self.passed += u32::from(is_right);
        print!("{}", if is_right { "ok   " } else { "FAIL " });
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bits, mask) = self.qualification;
        write!(f, "qualification {bits:#x} of {mask:#x}, gpa {:x?}", self.gpa)?;
        write!(f, ", call {:x?}", self.call)
    }
}

/// The exceptions that something raised.
struct Seen {
    exceptions: u64,
    last: LastVe,
}

/// Does something and tells what the router saw of it.
fn watch<R>(act: impl FnOnce() -> R) -> (R, Seen) {
    let before = ve::last().number;
    let result = act();
    let last = ve::last();
    (result, Seen { exceptions: last.number - before, last })
}

/// The instruction's bytes, read from memory.
struct Code<'a>(&'a LastVe);

impl fmt::Display for Code<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = memory::code_at(self.0.rip);
        let bytes = code.get(..self.0.length).unwrap_or(&code);
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        let width = f.width().unwrap_or(0).saturating_sub(2 * bytes.len());
        write!(f, "{:width$}", "")
    }
}
