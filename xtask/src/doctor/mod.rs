//! `cargo xtask doctor`: what keeps this machine from starting a trust domain.

mod checks;
mod host;

use std::fmt;
use std::process::ExitCode;

use anyhow::{Result, bail};
use harness::qemu::DEFAULT;
use harness::verdict;

use checks::{Check, State, checks, obstacle};
pub(crate) use host::{Device, Host};

use crate::flags;

/// Prints every need and how it stands.
pub(crate) fn run(flags: &flags::Doctor) -> ExitCode {
    let checks = checks(&Host::here(flags.qemu.as_deref().unwrap_or(DEFAULT)));
    for check in &checks {
        println!("{check}");
    }
    if obstacle(&checks).is_none() {
        println!("A trust domain can be started here: cargo xtask run --tdx");
        return ExitCode::SUCCESS;
    }
    println!("No trust domain can be started here. The emulator works: cargo xtask run --emulator");
    ExitCode::from(verdict::REFUSED)
}

/// Fails with the first need that this machine does not meet.
pub(crate) fn require(host: &Host) -> Result<()> {
    let checks = checks(host);
    let Some(check) = obstacle(&checks) else { return Ok(()) };
    let layer = check.layer();
    let Check { name, found, advice, .. } = check;
    bail!("{layer} at fault: no trust domain can be started here; {name}: {found}; {advice}")
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::CannotTell => "cannot tell",
        })
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<11}  {:<13}  {}", self.state, self.name, self.found)?;
        if self.advice.is_empty() { Ok(()) } else { write!(f, "; {}", self.advice) }
    }
}
