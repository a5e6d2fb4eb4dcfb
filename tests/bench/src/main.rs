//! `cargo xtask bench calls`: the table of [`bench::report`].
//!
//! `bench [--json FILE]`. Ends with 1 if ours costs more than it may, with 2 on errors.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use bench::report::{CRATES, ROWS, Table};
use bench::seam::Obliging;
use bench::subject::{self, Profile};
use bench::trace::{self, Run, Secrets};

fn main() -> ExitCode {
    calls().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

fn calls() -> Result<ExitCode> {
    let json = json_file()?;
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
        fs::write(&file, table.json())
            .with_context(|| format!("cannot write {}", file.display()))?;
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

fn json_file() -> Result<Option<PathBuf>> {
    let mut arguments = env::args_os().skip(1);
    let file = match arguments.next() {
        None => None,
        Some(flag) if flag == "--json" => {
            Some(arguments.next().context("--json wants a file")?.into())
        }
        Some(other) => bail!("unknown argument {}", other.display()),
    };
    match arguments.next() {
        None => Ok(file),
        Some(other) => bail!("unknown argument {}", other.display()),
    }
}
