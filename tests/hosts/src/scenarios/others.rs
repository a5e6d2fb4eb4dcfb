//! Other TDs: a debug TD, one with 52 address bits, one that dies; and the module's end.
#![expect(unsafe_code, reason = "an MSR")]

use abi::attributes::{Attributes, ConfigFlags};
use abi::leaf::tdh;
use abi::td_params::EPTP_5_LEVELS;
use abi::{PageLevel, PrivateGpa, Status};
use arch::msr;
use conformance::Check;
use tdcall::host;

use super::system::{EARLY, READY_ONLY};
use super::{enter, memory, operands, quick};
use crate::guest;
use crate::place::Place::{Page, Tdr};
use crate::run::{Run, What};
use crate::tables::enter as exits;
use crate::tables::entry::CODE;
use crate::tables::operands::{TDR, TDVPR};
use crate::tables::{build, debug, params, shutdown, wide};

/// CPUID(1).ECX: MONITOR and MWAIT.
const MONITOR: u32 = 1 << 3;

/// One TD after the other, and the end.
pub(super) fn run(run: &mut Run) {
    debug(run);
    wide(run);
    fatal(run);
    shut_down(run);
}

/// The host reads and writes the memory of a debug TD.
fn debug(run: &mut Run) {
    let mut td_params = params::good();
    td_params.attributes = Attributes::DEBUG.bits();
    td_params.cpuid_config[0][2] = MONITOR;
    let made = quick::finish(run, &td_params);
    quick::report(run, "a debug TD", made);
    let page = run.address(Page(7));
    memory::aug(run, debug::PENDING, PageLevel::Size4K, page);
    run.table(debug::DEBUG);

    let tdr = run.address(Tdr);
    let reset = PrivateGpa::new(guest::RESET_VECTOR);
    let what = What(tdh::MEM_RD, "ABI-H 3.8", "the reset vector's instruction");
    run.typed(&what, host::mem_rd(reset, tdr), &guest::RESET);
    let gpa = PrivateGpa::new(CODE + 0xE00);
    let what = What(tdh::MEM_WR, "ABI-H 3.8", "a quadword that was 0");
    run.typed(&what, host::mem_wr(gpa, tdr, 0xDE_B096), &0);
    let what = What(tdh::MEM_RD, "ABI-H 3.8", "the quadword that was written");
    run.typed(&what, host::mem_rd(gpa, tdr), &0xDE_B096);
    misc_enable(run);
    enter::first(run, 0);
    let load = [guest::LOAD, CODE + 0xE00, 0];
    enter::command(run, "the guest sees what the host wrote", 0, load, 0xDE_B096);
    quick::end(run, true);
}

/// What the VMM has in IA32_MISC_ENABLE counts when a vCPU is entered.
fn misc_enable(run: &mut Run) {
    const CPUID_CUT: u64 = 1 << 22;
    const MONITOR_ON: u64 = 1 << 18;
    let was = misc_enable_is(|value| value | CPUID_CUT);
    run.table(exits::CUT);
    misc_enable_is(|_| was & !MONITOR_ON);
    run.table(exits::NO_MONITOR);
    misc_enable_is(|_| was | MONITOR_ON);
}

/// Changes IA32_MISC_ENABLE; gives what it was.
fn misc_enable_is(change: impl FnOnce(u64) -> u64) -> u64 {
    const MISC_ENABLE: u32 = 0x1A0;
    // SAFETY: every CPU that the module runs on has the MSR.
    let was = unsafe { msr::read(MISC_ENABLE) };
    // SAFETY: neither MONITOR nor CPUID's highest leaf matters to this program.
    unsafe { msr::write(MISC_ENABLE, change(was)) };
    was
}

/// Five levels.
fn wide(run: &mut Run) {
    let mut td_params = params::good();
    td_params.config_flags |= ConfigFlags::GPAW_52.bits();
    td_params.eptp_controls = EPTP_5_LEVELS;
    let made = quick::initialize(run, &td_params);
    quick::report(run, "a TD with 52 address bits", made);
    run.table(wide::WIDE);
    quick::end(run, false);
}

/// A TD whose state the CPU does not take: nothing but its end is possible.
fn fatal(run: &mut Run) {
    let made = quick::finish(run, &params::good());
    quick::report(run, "a TD that dies", made);
    enter::first(run, 0);
    let jump = [guest::JUMP, guest::BOTH_MODES, 0];
    enter::expose(run, "a code segment that is 64-bit and 32-bit at once", 0, jump, 0xFFCC);
    enter::leave(run, 0, &exits::ENTRY_FAILURE);
    run.table(build::FATAL);
    operands::state(run, "the TD is dead", TDR, 0, Status::TD_FATAL);
    operands::state(run, "the TD is dead", TDVPR, 0, Status::TD_FATAL);
    quick::end(run, true);
}

/// The module hands over; nothing works any more.
fn shut_down(run: &mut Run) {
    run.table(shutdown::BEFORE);
    let what = What(tdh::SYS_SHUTDOWN, "ABI-H 3.5", "handoff version 0");
    run.typed(&what, host::sys_shutdown(0), &());
    run.table(shutdown::AFTER);
    let early = EARLY.into_iter().filter(|leaf| *leaf != tdh::SYS_LP_SHUTDOWN);
    for rax in READY_ONLY.into_iter().chain(early) {
        run.check(&Check {
            name: "the module is shut down",
            rax,
            source: "ABI-H 1.5",
            input: &[],
            status: Status::SYS_SHUTDOWN,
            output: &[],
        });
    }
    let what = What(tdh::SYS_UPDATE, "ABI-H 1.5", "the typed function says so too");
    let gone = host::sys_update() == Err(Status::SYS_SHUTDOWN);
    run.report_as(&what, Status::SYS_SHUTDOWN, gone);
}
