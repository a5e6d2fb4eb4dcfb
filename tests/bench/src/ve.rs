//! What a #VE costs the trust domain: instructions from the one that raises it to the one
//! after it, and TDCALLs among them.
//!
//! The payload `bench_ve` prints where each instruction begins and ends. QEMU executes one
//! instruction at a time and writes down the address of each that lies in the kernel's half
//! of memory, where neither the module nor the VMM is; that list is counted.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use harness::qemu::{Qemu, Version};
use harness::{Exit, fixture, paths};
use object::LittleEndian as LE;
use object::elf::{FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

/// Where the kernel is linked, see linker.ld.
pub(crate) const KERNEL: u64 = 0xffff_ffff_8000_0000;
pub(crate) const KERNEL_SIZE: u64 = 16 << 20;
const TDCALL: [u8; 4] = [0x66, 0x0F, 0x01, 0xCC];
/// The first QEMU that wants `one-insn-per-tb` and not `-singlestep`.
const ONE_INSTRUCTION_OPTION: Version = Version(8, 1, 0);
const PAYLOAD: &str = "bench_ve";

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The name in JSON and in the payload.
    pub name: String,
    /// From the instruction to the one after it, itself included.
    pub instructions: usize,
    /// TDCALLs among them.
    pub tdcalls: usize,
}

/// The most that a row may cost: instructions and TDCALLs.
#[must_use]
pub fn most(name: &str) -> (usize, usize) {
    match name {
        name if name.starts_with("io_out_") => (250, 2),
        "direct_io_out_1" => (26, 1),
        name if name.starts_with("direct_") => (usize::MAX, 1),
        // A read and a write of the device.
        "mmio_or_4" => (usize::MAX, 3),
        _ => (usize::MAX, 2),
    }
}

/// Boots the payload and counts. Everything must have been built.
pub fn measure(qemu: &str) -> Result<Vec<Cost>> {
    let mut options = fixture::options("bench-ve", PAYLOAD);
    options.timeout *= 4;
    options.config = "features=pconfig+wbinvd".into();
    let log = options.logs.join("instructions.log");
    let range = format!("{KERNEL:#x}+{KERNEL_SIZE:#x}");
    let report = harness::boot(&traced(qemu, &range, &log)?, &options)?;
    ensure!(report.exit == Exit::Verdict(abi::verdict::PASSED), "{report:#?}");
    let executed = executed(&log)?;
    fs::remove_file(&log)?;
    let calls = calls(&fs::read(paths::bare(PAYLOAD))?)?;
    rows(&report.console).map(|row| row.and_then(|row| count(&row, &executed, &calls))).collect()
}

/// A QEMU that writes a line for each instruction that it executes in these ranges of addresses.
pub(crate) fn traced(qemu: &str, ranges: &str, log: &Path) -> Result<Qemu> {
    let one = if Qemu::find(qemu)?.version < ONE_INSTRUCTION_OPTION {
        "-singlestep"
    } else {
        "-accel tcg,one-insn-per-tb=on"
    };
    let logging = format!("-d exec,nochain -dfilter {ranges} -D {}", log.display());
    Ok(Qemu::find(&format!("{qemu} {one} {logging}"))?)
}

/// Name, address of the instruction, address of the one after it.
type Row<'a> = (&'a str, u64, u64);

/// The payload's lines: `bench: <name> <from> <to>`.
fn rows(console: &str) -> impl Iterator<Item = Result<Row<'_>>> {
    let address = |word: Option<&str>| {
        let digits = word.and_then(|word| word.strip_prefix("0x")).context("no address")?;
        anyhow::Ok(u64::from_str_radix(digits, 16)?)
    };
    console.lines().filter_map(|line| line.strip_prefix("bench: ")).map(move |line| {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        Ok((name, address(words.next())?, address(words.next())?))
    })
}

/// The addresses of the instructions that QEMU executed, in order.
fn executed(log: &Path) -> Result<Vec<u64>> {
    let file = File::open(log).with_context(|| log.display().to_string())?;
    let mut addresses = Vec::new();
    for line in BufReader::new(file).lines() {
        addresses.extend(address(&line?));
    }
    Ok(addresses)
}

/// `Trace 0: 0x7f27fc9b8280 [0000000000000000/ffffffff80001181/0070c2b0/ff000201]`
fn address(line: &str) -> Option<u64> {
    let (_, state) = line.strip_prefix("Trace ")?.split_once('[')?;
    u64::from_str_radix(state.split('/').nth(1)?, 16).ok()
}

/// Where the payload's TDCALLs are.
fn calls(elf: &[u8]) -> Result<Vec<u64>> {
    let header = FileHeader64::<LE>::parse(elf)?;
    let mut calls = Vec::new();
    for segment in header.program_headers(LE, elf)? {
        if segment.p_type(LE) == PT_LOAD {
            let bytes = segment.data(LE, elf).ok().context("the payload is cut short")?;
            let at = bytes.windows(TDCALL.len()).enumerate().filter(|(_, four)| **four == TDCALL);
            calls.extend(at.map(|(offset, _)| segment.p_vaddr(LE) + offset as u64));
        }
    }
    Ok(calls)
}

/// The last time that the row's instruction ran.
fn count(row: &Row<'_>, executed: &[u64], calls: &[u64]) -> Result<Cost> {
    let (name, from, to) = *row;
    let last = executed.iter().rposition(|address| *address == to);
    let until = &executed[..last.with_context(|| format!("{name} did not end"))?];
    let first = until.iter().rposition(|address| *address == from);
    let run = &until[first.with_context(|| format!("{name} did not begin"))?..];
    let tdcalls = run.iter().filter(|address| calls.contains(address)).count();
    Ok(Cost { name: name.to_owned(), instructions: run.len(), tdcalls })
}

/// `{"ve": {"cpuid": {"instructions": 250, "tdcalls": 2}, …}}`
#[must_use]
pub fn json(costs: &[Cost]) -> String {
    let rows = costs.iter().map(|Cost { name, instructions, tdcalls }| {
        format!("    \"{name}\": {{\"instructions\": {instructions}, \"tdcalls\": {tdcalls}}}")
    });
    format!("{{\n  \"ve\": {{\n{}\n  }}\n}}\n", rows.collect::<Vec<_>>().join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_counted_from_its_instruction_to_the_next_and_the_last_time_counts() {
        let executed = [1, 0x10, 0x50, 0x12, 0x10, 0x50, 0x51, 0x52, 0x12, 0x13];
        let cost = count(&("a", 0x10, 0x12), &executed, &[0x51, 0x13]).unwrap();
        assert_eq!((cost.instructions, cost.tdcalls), (4, 1));
        assert!(count(&("a", 0x10, 0x99), &executed, &[]).is_err());
        assert!(count(&("a", 0x98, 0x12), &executed, &[]).is_err());
    }

    #[test]
    fn lines_of_the_payload_and_of_qemu_are_read() {
        let console = "hello\nbench: cpuid 0x10 0x12\n";
        assert_eq!(rows(console).next().unwrap().unwrap(), ("cpuid", 0x10, 0x12));
        assert!(rows("bench: cpuid 16").next().unwrap().is_err());
        let line = "Trace 0: 0x7f27fc9b8280 [0000000000000000/ffffffff80001181/0070c2b0/ff000201] ";
        assert_eq!(address(line), Some(0xffff_ffff_8000_1181));
        assert_eq!(address("Linking TBs"), None);
    }
}
