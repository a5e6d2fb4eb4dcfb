//! The checks: each cause of #VE, raised by a real instruction and compared with what must
//! have happened, and the other things that a TD relies on. (PCONFIG alone is missing: KVM
//! does not show it to a TD.)
//!
//! The console shows them as a TAP 14 stream. Comment lines tell the steps of a check: what
//! the router saw (instruction bytes, exit reason, qualification, GPA), what it called
//! (sub-function, RCX mask), and the instruction's result beside the one expected. Then the
//! counts, for whoever kept counts of their own.

mod cpuid;
mod disk;
mod hlt;
mod host;
mod identity;
mod io;
mod memory;
mod mmio;
mod msr;
mod refused;
mod registers;
mod report;
mod step;
mod tap;
mod time;

use crate::memory::numbers;
use crate::options::Options;
use crate::td::{Td, Tdcall};
use crate::virtio::Disk;
use crate::{Kernel, Verdict, counts, println};

use self::step::Steps;

/// One check.
struct Check {
    /// Its name: lower case, words joined by hyphens.
    name: &'static str,
    /// What it does.
    run: fn(&mut Steps, &mut Kernel),
}

const fn check(name: &'static str, run: fn(&mut Steps, &mut Kernel)) -> Check {
    Check { name, run }
}

/// The check that is left out where there is no disk.
const DISK: &str = "disk";

/// All of them, in order. None needs another one to have run.
const CHECKS: &[Check] = &[
    check("detection", |steps, _| identity::detection(steps)),
    check("vp-info", identity::vp_info),
    check("attributes", identity::attributes),
    check("cpuid-host", |steps, _| cpuid::host(steps)),
    check("cpuid-local", |steps, _| cpuid::local(steps)),
    check("io-8", |steps, _| io::byte(steps)),
    check("io-16", |steps, _| io::word(steps)),
    check("io-32", |steps, _| io::dword(steps)),
    check("io-immediate", |steps, _| io::immediate(steps)),
    check("io-string", |steps, _| io::strings(steps)),
    check("rdmsr", msr::read),
    check("wrmsr", |steps, _| msr::write(steps)),
    check("hlt", |steps, _| hlt::interrupted(steps)),
    check("invd", |steps, _| refused::invd(steps)),
    check("vmcall", |steps, _| refused::vmcall(steps)),
    check("monitor", |steps, _| refused::monitor(steps)),
    check("mwait", |steps, _| refused::mwait(steps)),
    check("mov-cr4", |steps, _| refused::control_register(steps)),
    check("wbinvd", |steps, _| refused::write_back(steps)),
    check("apic-write", |steps, _| refused::illegal_interrupt(steps)),
    check("mmio-32", mmio::dword),
    check("mmio-16", mmio::word),
    check("mmio-8", mmio::byte),
    check("mmio-extend", mmio::extended),
    check("registers", |steps, _| registers::hygiene(steps)),
    check("no-rbp-mod", |steps, _| registers::rbp(steps)),
    check("accept", memory::accept),
    check("convert", memory::convert),
    check("report", report::report),
    check("report-verify", report::verify),
    check("rtmr", report::rtmr),
    check("tsc-frequency", |steps, _| time::frequency(steps)),
    check("time", |steps, _| time::clocks(steps)),
    check("host-info", host::info),
    check(DISK, disk::first_block),
];

/// The last columns of a step's line: sub-function, RCX mask, result and what it must be.
const HEADER: &str = "call  rcx    result             expected";

/// The names of all checks, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    CHECKS.iter().map(|check| check.name)
}

/// Runs the checks that the options ask for.
pub fn run(kernel: &mut Kernel) -> Verdict {
    let Options { filter, is_quiet, .. } = kernel.options;
    run_filtered(kernel, filter, is_quiet)
}

/// Runs the checks with `filter` in their name; with `is_quiet` only steps that fail are shown.
pub fn run_filtered(kernel: &mut Kernel, filter: &str, is_quiet: bool) -> Verdict {
    let has_disk = Disk::is_there();
    let is_wanted =
        |check: &&Check| check.name.contains(filter) && (has_disk || check.name != DISK);
    let selected = || CHECKS.iter().filter(is_wanted);
    tap::begin(selected().count());
    banner(kernel);
    let mut passed = true;
    for (number, check) in (1_u32..).zip(selected()) {
        let mut steps = Steps::new(is_quiet);
        (check.run)(&mut steps, kernel);
        passed &= tap::end_of_check(number, check.name, &steps);
    }
    print_counts();
    if passed { Verdict::Passed } else { Verdict::CheckFailed }
}

fn banner(kernel: &Kernel) {
    let vp = &kernel.vp;
    println!(
        "# tdlet: trust domain, GPA width {}, attributes {:#x}, vCPU {} of {}, {} KiB usable",
        vp.gpa_width_bits,
        vp.attributes.bits(),
        vp.vcpu_index,
        vp.num_vcpus,
        numbers().usable >> 10,
    );
    if !kernel.options.is_quiet {
        println!("# {:5}{:<8}{:<17}exit {:<11}{:<17}{HEADER}", "", "cause", "code", "qual", "gpa");
    }
}

/// The kernel's counts up to and including a last VP.INFO, at which the module notes its own.
pub fn print_counts() {
    let last = Td.vp_info();
    let counts = counts::snapshot();
    if let Err(status) = last {
        println!("# TDG.VP.INFO: {status}");
    }
    println!("# vp_info calls: {}", counts.tdcall(abi::leaf::tdg::VP_INFO) + 1);
    println!("# counts from vp_info to vp_info: {counts}");
}
