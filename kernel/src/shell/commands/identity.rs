//! Who this is: TDG.VP.INFO, CPUID, the TDREPORT.

use core::arch::x86_64::__cpuid_count;
use core::fmt;

use super::{Done, Next, Words};
use crate::attest::{self, AttestError};
use crate::{Kernel, println, time};

pub(super) fn td<'a>(kernel: &mut Kernel, words: Words<'a>) -> Done<'a> {
    words.end()?;
    let vp = &kernel.vp;
    println!("attributes  {:#x}", vp.attributes.bits());
    println!("GPA width   {} bits", vp.gpa_width_bits);
    println!("vCPU        {} of {} ({} at most)", vp.vcpu_index, vp.num_vcpus, vp.max_vcpus);
    println!("TSC         {} MHz", time::tsc_hz().unwrap_or(0) / 1_000_000);
    println!("options     {:?}", kernel.options);
    Ok(Next::Line)
}

pub(super) fn cpuid<'a>(_: &mut Kernel, mut words: Words<'a>) -> Done<'a> {
    let leaf = words.number("a leaf", 32)? as u32;
    let subleaf = words.number_or("a sub-leaf", 32, 0)? as u32;
    words.end()?;
    let (answer, seen) = super::story::watched(|| __cpuid_count(leaf, subleaf));
    let registers = [answer.eax, answer.ebx, answer.ecx, answer.edx];
    for (name, value) in ["eax", "ebx", "ecx", "edx"].iter().zip(registers) {
        println!("{name} {value:#010x}  {}", value.to_le_bytes().escape_ascii());
    }
    seen.print();
    Ok(Next::Line)
}

pub(super) fn report<'a>(kernel: &mut Kernel, words: Words<'a>) -> Done<'a> {
    words.end()?;
    if let Err(error) = print_report(kernel) {
        println!("{error}");
    }
    Ok(Next::Line)
}

fn print_report(kernel: &Kernel) -> Result<(), AttestError> {
    let report = attest::report(&kernel.memory, &[0; 64])?;
    let td = &report.td_info;
    println!("attributes  {:#x}, XFAM {:#x}", td.attributes, td.xfam);
    println!("MRTD        {}", Hex(&td.mrtd));
    for (index, rtmr) in td.rtmr.iter().enumerate() {
        println!("RTMR{index}       {}", Hex(rtmr));
    }
    println!("MRSEAM      {}", Hex(&report.tee_tcb_info.mrseam));
    let is_known = attest::verify(&kernel.memory, &report.mac).is_ok();
    println!(
        "MAC         {}: {}",
        Hex(&report.mac.mac),
        if is_known { "genuine" } else { "forged" }
    );
    Ok(())
}

/// Bytes in hexadecimal.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
