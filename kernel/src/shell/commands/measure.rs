//! Measurements and checks.

use core::arch::x86_64::__cpuid_count;
use core::hint::black_box;

use super::{Done, Next, Words};
use crate::io::Port;
use crate::td::{Td, Tdcall};
use crate::{Kernel, checks, println, time};

/// A leaf that the host answers.
const HYPERVISOR: u32 = 0x4000_0000;
/// A port whose device does nothing: POST codes.
const POST: u16 = 0x80;
/// How often each thing is done unless it is said.
const TIMES: u64 = 100;

pub(super) fn bench<'a>(_: &mut Kernel, mut words: Words<'a>) -> Done<'a> {
    // Two digits of seconds at most, on a slow machine.
    let times = words.number_or("a number of times below 65536", 16, TIMES)?.max(1);
    words.end()?;
    let hz = time::tsc_hz().unwrap_or(0);
    println!("  {times} times each; the least, the mean and the most nanoseconds");
    let row = |name: &str, act: &mut dyn FnMut()| {
        let (mut least, mut most, mut all) = (u64::MAX, 0, 0_u64);
        for _ in 0..times {
            let start = time::tsc();
            act();
            let ticks = time::tsc().wrapping_sub(start);
            (least, most) = (least.min(ticks), most.max(ticks));
            all = all.saturating_add(ticks);
        }
        let [least, mean, most] = [least, all / times, most].map(|t| time::nanoseconds(t, hz));
        println!("  {name:<28} {least:>9} {mean:>9} {most:>9}");
    };
    row("TDG.VP.VMCALL<IO> write", &mut || keep(Port::<u8>::new(POST).write(0)));
    row("TDG.VP.VMCALL<CPUID>", &mut || keep(Td.cpuid(HYPERVISOR, 0)));
    row("OUT by #VE", &mut || super::raw::port_write(POST, 0, 1));
    row("CPUID by #VE", &mut || keep(__cpuid_count(HYPERVISOR, 0)));
    row("CPUID by the module", &mut || keep(__cpuid_count(0, 0)));
    Ok(Next::Line)
}

/// What is measured is not optimised away.
fn keep<T>(result: T) {
    let _kept = black_box(result);
}

pub(super) fn test<'a>(kernel: &mut Kernel, mut words: Words<'a>) -> Done<'a> {
    let filter = words.next().unwrap_or("");
    words.end()?;
    let verdict = checks::run_filtered(kernel, filter, false);
    println!("{verdict:?}");
    Ok(Next::Line)
}
