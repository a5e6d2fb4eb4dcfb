//! `cargo xtask`: builds, boots and checks tdlet.
//!
//! One file a verb. What a boot is and how it is judged stands in the crate
//! `tests`, which the booted tests use too.

mod bare;
mod bench;
mod build;
mod ci;
mod dist;
mod doctor;
mod flags;
mod image;
mod qemu;
mod run;
mod smoke;
mod strip;
mod terminal;
mod test;
mod tidy;
mod tools;
mod values;

use std::process::ExitCode;

use flags::{BenchCmd, XtaskCmd};
use harness::{paths, verdict};
use xshell::Shell;

fn main() -> ExitCode {
    let verb = flags::Xtask::from_env_or_exit().subcommand;
    dispatch(verb).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(verdict::REFUSED)
    })
}

fn dispatch(verb: XtaskCmd) -> anyhow::Result<ExitCode> {
    let sh = Shell::new()?;
    sh.change_dir(paths::root());
    match verb {
        XtaskCmd::Run(flags) => run::run(&sh, &flags),
        XtaskCmd::Smoke(flags) => smoke::run(&sh, &flags),
        XtaskCmd::Dist(flags) => dist::run(&sh, &flags),
        XtaskCmd::Image(flags) => image::run(&sh, &flags),
        XtaskCmd::Test(flags) => test::run(&sh, &flags),
        XtaskCmd::Build(flags) => build::run(&sh, &flags),
        XtaskCmd::Bench(flags) => match flags.subcommand {
            BenchCmd::Calls(flags) => bench::calls(&sh, &flags),
            BenchCmd::Ve(flags) => bench::ve(&sh, &flags),
            BenchCmd::Memory(flags) => bench::memory(&sh, &flags),
        },
        XtaskCmd::Doctor(flags) => Ok(doctor::run(&flags)),
        XtaskCmd::Tools(_) => tools::run(&sh),
        XtaskCmd::Tidy(_) => tidy::run(),
        XtaskCmd::Ci(flags) => ci::run(&sh, &flags),
    }
}
