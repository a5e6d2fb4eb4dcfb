//! `cargo xtask test`: everything that must hold.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use harness::fixture;
use xshell::{Shell, cmd};

use crate::{build, flags, qemu, tools};

pub(crate) fn run(sh: &Shell, flags: &flags::Test) -> Result<ExitCode> {
    qemu::ensure(sh, flags.qemu.as_deref())?;
    if let Err(error) = tools::ensure(sh) {
        eprintln!("the tests of deploy/ will fail: {error:#}");
    }
    build::everything(sh)?;
    let mut command = Command::from(cmd!(sh, "cargo test --no-fail-fast"));
    command.env(fixture::XTASK, env::current_exe()?).stdout(Stdio::piped());
    if let Some(qemu) = &flags.qemu {
        command.env(fixture::QEMU, qemu);
    }
    let mut child = command.spawn().context("cannot run cargo test")?;
    let stdout = child.stdout.take().context("cargo test has no standard output")?;
    let mut total = Tally::default();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        println!("{line}");
        total.add(&line);
    }
    let status = child.wait()?;
    if !status.success() && total.failed == 0 {
        // A test binary that did not build or that died counts as one.
        total.failed = 1;
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The sum over all test binaries.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u32,
    failed: u32,
}

impl Tally {
    /// Adds a `test result:` line of libtest; other lines are none of its business.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) =
            line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split("; ") {
            match count.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_binaries_are_summed() {
        let mut tally = Tally::default();
        for line in [
            "test result: ok. 20 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
            "test a_test ... ok",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
        ] {
            tally.add(line);
        }
        assert_eq!(tally, Tally { passed: 23, failed: 2 });
    }
}
