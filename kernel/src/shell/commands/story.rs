//! What happened so far: exceptions, calls, memory.

use abi::ghci::function;
use abi::{ExitReason, leaf::tdg};

use super::{Done, Next, Words};
use crate::ve::policy::POLICIES;
use crate::ve::{self, LastVe};
use crate::{Kernel, counts, memory, println, time};

/// The leaves that the kernel calls, by name.
const LEAVES: [(u64, &str); 9] = [
    (tdg::VP_VMCALL, "VP.VMCALL"),
    (tdg::VP_INFO, "VP.INFO"),
    (tdg::MR_RTMR_EXTEND, "MR.RTMR.EXTEND"),
    (tdg::VP_VEINFO_GET, "VP.VEINFO.GET"),
    (tdg::MR_REPORT, "MR.REPORT"),
    (tdg::MEM_PAGE_ACCEPT, "MEM.PAGE.ACCEPT"),
    (tdg::VM_RD, "VM.RD"),
    (tdg::SYS_RD, "SYS.RD"),
    (tdg::MR_VERIFYREPORT, "MR.VERIFYREPORT"),
];

/// The sub-functions that the kernel asks for, by name.
const FUNCTIONS: [(u64, &str); 11] = [
    (function::CPUID, "Instruction.CPUID"),
    (function::HLT, "Instruction.HLT"),
    (function::IO, "Instruction.IO"),
    (function::RDMSR, "Instruction.RDMSR"),
    (function::WRMSR, "Instruction.WRMSR"),
    (function::MMIO, "#VE.RequestMMIO"),
    (function::WBINVD, "Instruction.WBINVD"),
    (function::PCONFIG, "Instruction.PCONFIG"),
    (function::GET_TD_VMCALL_INFO, "GetTdVmCallInfo"),
    (function::MAP_GPA, "MapGPA"),
    (function::REPORT_FATAL_ERROR, "ReportFatalError"),
];

/// The exceptions that something took.
pub(super) struct Seen {
    count: u64,
    last: LastVe,
}

/// Does something; what the router saw of it.
pub(super) fn watched<R>(act: impl FnOnce() -> R) -> (R, Seen) {
    let before = ve::last().number;
    let result = act();
    let last = ve::last();
    (result, Seen { count: last.number - before, last })
}

impl Seen {
    /// The exception, or that there was none.
    pub(super) fn print(&self) {
        if self.count == 0 { println!("  no #VE") } else { print_record(&self.last) }
    }
}

fn print_record(last: &LastVe) {
    let LastVe { number, outcome, reason, qualification, gpa, rip, call, .. } = *last;
    println!("  #VE {number}: {reason}, qualification {qualification:#x}, rip {rip:#x}");
    if reason == ExitReason::EPT_VIOLATION {
        println!("  gpa {gpa:#x}");
    }
    match call {
        Some((function, mask)) => {
            println!("  {outcome:?}: VMCALL {function:#x}, registers {mask:#x}");
        }
        None => println!("  {outcome:?}, the host was not asked"),
    }
}

pub(super) fn ve<'a>(_: &mut Kernel, words: Words<'a>) -> Done<'a> {
    words.end()?;
    let last = ve::last();
    let counts = counts::snapshot();
    for policy in POLICIES {
        let count = counts.ve(policy.cause.0);
        println!("  {count:>8}  {}", policy.cause);
    }
    if last.number > 0 {
        print_record(&last);
    }
    Ok(Next::Line)
}

pub(super) fn calls<'a>(_: &mut Kernel, words: Words<'a>) -> Done<'a> {
    words.end()?;
    let counts = counts::snapshot();
    for (leaf, name) in LEAVES {
        println!("  {:>8}  TDG.{name}", counts.tdcall(leaf));
    }
    for (function, name) in FUNCTIONS {
        println!("  {:>8}  VP.VMCALL<{name}>", counts.vmcall(function));
    }
    if let Some((reason, ticks)) = ve::slowest() {
        let ns = time::nanoseconds(ticks, time::tsc_hz().unwrap_or(0));
        println!("  slowest #VE: {reason}, {ns} ns");
    }
    Ok(Next::Line)
}

pub(super) fn memory<'a>(_: &mut Kernel, words: Words<'a>) -> Done<'a> {
    words.end()?;
    for region in memory::regions() {
        let kib = (region.end - region.start) >> 10;
        println!("  {:#014x}-{:#014x}  {kib:>9} KiB  {:?}", region.start, region.end, region.kind);
    }
    println!("  {}", memory::numbers());
    Ok(Next::Line)
}
