//! `cargo xtask bench`: the tables of [`bench::report`], [`bench::ve`] and [`bench::memory`].
//!
//! `bench calls [--json FILE]`, `bench ve QEMU [--json FILE]`, `bench memory QEMU [--json FILE]`.
//! Ends with 1 if something costs more than it may, with 2 on errors.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use bench::memory;
use bench::report::{CRATES, ROWS, Table};
use bench::seam::Obliging;
use bench::subject::{self, Profile};
use bench::trace::{self, Run, Secrets};
use bench::ve::{self, Cost};

fn main() -> ExitCode {
    run_command().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

fn run_command() -> Result<ExitCode> {
    let mut arguments = env::args().skip(1);
    match arguments.next().as_deref() {
        Some("calls") => calls(json_file(arguments)?),
        Some("ve") => {
            let qemu = arguments.next().context("ve wants a QEMU")?;
            ve(&qemu, json_file(arguments)?)
        }
        Some("memory") => {
            let qemu = arguments.next().context("memory wants a QEMU")?;
            memory(&qemu, json_file(arguments)?)
        }
        other => bail!("unknown table {other:?}"),
    }
}

fn ve(qemu: &str, json: Option<PathBuf>) -> Result<ExitCode> {
    println!("instructions that the trust domain executes, from the one that raises #VE to the");
    println!("one after it, itself included; and TDCALLs among them, which count as one each\n");
    let costs = ve::measure(qemu)?;
    println!("{:<20}{:>14}{:>9}{:>8}", "", "instructions", "tdcalls", "most");
    let mut is_cheap = !costs.is_empty();
    for Cost { name, instructions, tdcalls } in &costs {
        let (most, most_tdcalls) = ve::most(name);
        is_cheap &= *instructions <= most && *tdcalls <= most_tdcalls;
        let most = if most == usize::MAX { String::new() } else { most.to_string() };
        println!("{name:<20}{instructions:>14}{tdcalls:>9}{most:>8}");
    }
    if let Some(file) = json {
        write(&file, &ve::json(&costs))?;
    }
    Ok(if is_cheap { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn memory(qemu: &str, json: Option<PathBuf>) -> Result<ExitCode> {
    println!("a GiB of memory: until all of it was accepted and handed out by the kernel's heap;");
    println!("measured on 4 MiB of 4 KiB pages and on 32 MiB of 2 MiB pages. The floor is one");
    println!("ACCEPT for each page that the host maps. The first line on the console is that of a");
    println!("start in 64 MiB, counted from the start of QEMU, the best of three\n");
    let table = memory::measure(qemu)?;
    let head = ["floor", "accepts", "tdcalls", "td exits", "instructions", "first line"];
    print!("{:<16}", "");
    println!("{}", head.map(|title| format!("{title:>13}")).concat());
    let print = |name: &str, floor: String, cost: &memory::Cost| {
        let memory::Cost { tdcalls, accepts, exits, instructions, first_line_ms } = cost;
        let first_line = format!("{first_line_ms} ms");
        println!(
            "{name:<16}{floor:>13}{accepts:>13}{tdcalls:>13}{exits:>13}{instructions:>13}\
             {first_line:>13}"
        );
    };
    for memory::Row { name, floor, cost } in &table.rows {
        print(name, floor.to_string(), cost);
    }
    println!("\na lazy start, 2 MiB pages, until a program has printed a line and ended\n");
    for (name, cost) in ["64 MiB", "6 GiB"].iter().zip(&table.starts) {
        print(name, String::new(), cost);
    }
    if let Some(file) = json {
        write(&file, &table.json())?;
    }
    let missed = table.missed();
    for line in &missed {
        println!("{line}");
    }
    Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn calls(json: Option<PathBuf>) -> Result<ExitCode> {
    println!("instructions executed, from the CALL of the public function to its RET, both");
    println!("included; TDCALL counts as one; compiled with cargo's stock release profile\n");
    let [ours, guest, tdcall] = CRATES;
    let release = |name| run(name, Profile::Release);
    let table = Table::new(&[release(ours)?, release(guest)?, release(tdcall)?]);
    println!("{table}");
    print!("{ours} as its images are compiled (opt-level s, LTO, overflow checks):");
    let shipped = run(ours, Profile::Shipped)?;
    for row in ROWS {
        print!(" {} {}", row.name, shipped.row(row.name)?.instructions);
    }
    println!();
    if let Some(file) = json {
        write(&file, &table.json())?;
    }
    let missed: Vec<_> = table.missed().collect();
    for (title, most) in &missed {
        println!("{title}: more than {most}");
    }
    Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run(name: &str, profile: Profile) -> Result<Run> {
    let program = subject::build(name, profile)?;
    trace::run(&program, &mut Obliging, &Secrets([0; 6])).with_context(|| format!("crate {name}"))
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn json_file(mut arguments: impl Iterator<Item = String>) -> Result<Option<PathBuf>> {
    let file = match arguments.next().as_deref() {
        None => None,
        Some("--json") => Some(arguments.next().context("--json wants a file")?.into()),
        Some(other) => bail!("unknown argument {other}"),
    };
    match arguments.next() {
        None => Ok(file),
        Some(other) => bail!("unknown argument {other}"),
    }
}
